"""`pyroscope-otel run COMMAND...`: an application of one's own, unchanged, and its flame graphs.

`running` is what the command does. `startup` and `inside` are what runs in the Python
processes below it, which may be those of another environment. It needs the extra
`local`; those need the extra `otlp`.
"""
