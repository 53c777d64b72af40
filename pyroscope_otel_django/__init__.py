"""The Django app `pyroscope_otel_django`: profiles and traces of a project, linked."""

from pyroscope_otel_django.configuration import configure

__all__ = ("configure",)
