"""Links OpenTelemetry traces with Pyroscope profiles."""
