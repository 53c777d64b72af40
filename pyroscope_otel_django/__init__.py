"""The Django app `pyroscope_otel_django`: profiles and traces of a project, linked."""
