"""The import path that the first `pyroscope-otel` documented. See `pyroscope_otel`."""

from pyroscope_otel.link.processor import PyroscopeSpanProcessor

__all__ = ("PyroscopeSpanProcessor",)
