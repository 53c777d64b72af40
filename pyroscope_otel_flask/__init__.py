"""The Flask extension: links an application's profiles and traces."""

from __future__ import annotations

from pyroscope_otel_flask.extension import Pyroscope

__all__ = ("Pyroscope",)
