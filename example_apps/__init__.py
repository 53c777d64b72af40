"""Applications to try pyroscope-otel with."""
