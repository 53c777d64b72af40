"""`pyroscope-otel demo`: a service, requests to it, and a flame graph of each.

It needs the extra `local`.
"""

from __future__ import annotations

from pyroscope_otel.tools.demo.running import run

__all__ = ("run",)
