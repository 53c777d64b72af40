"""Measures whether samples are attributed to the right request, with real servers and agents.

Run `python -m benchmarks.attribution --help`.

    cases     which application runs under which server
    programs  the servers: how each is started, and how it ends
    apps_*    the applications, and django_shop
    ways      in which they spend their time
    set_up    how an application sets up tracing and profiling, per package
    without_code
              the same without code
    installed packages of other versions than the environment's
    burn      CPU time, or memory, whose stack says whose it is
    spans     what the application exported, which span is whose root
    server    starts a server and stops it
    load      sends it requests
    run       all of this for one case: the samples and the spans
    measure   compares them
    bars      how good they have to be
    report    prints them
"""
