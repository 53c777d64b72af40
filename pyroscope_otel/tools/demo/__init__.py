"""`pyroscope-otel demo`: runs an example service and shows a flame graph of each request.

It needs the extra `local`.
"""

from __future__ import annotations

from pyroscope_otel.tools.demo.running import run

__all__ = ("run",)
