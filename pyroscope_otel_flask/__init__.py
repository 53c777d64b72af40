"""The Flask extension: profiles and traces of an application, linked."""

from __future__ import annotations

from pyroscope_otel_flask.extension import Pyroscope

__all__ = ("Pyroscope",)
