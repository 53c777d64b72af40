"""`pyroscope-otel run COMMAND...`: runs an unchanged application and shows its flame graphs.

`running` runs in the process of `pyroscope-otel` and needs the extra `local`. `startup` and
`inside` run in the command's Python processes, which may belong to another environment; they
need the extra `otlp`.
"""
