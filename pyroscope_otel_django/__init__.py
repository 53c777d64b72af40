"""The Django app `pyroscope_otel_django`: links a project's profiles and traces."""

from pyroscope_otel_django.configuration import configure

__all__ = ("configure",)
