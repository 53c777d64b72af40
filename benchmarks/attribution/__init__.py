"""Measures whether samples are attributed to the right request.

Real servers, the real agent. `python -m benchmarks.attribution --help`.

    cases     which application runs under which server
    apps_*    the applications
    set_up    how an application sets up tracing and profiling, per package
    burn      CPU time whose stack says whose it is
    spans     what the application exported, which span is whose root
    server    starts a server and stops it
    load      sends it requests
    run       all of this for one case: the samples and the spans
    measure   compares them
"""
