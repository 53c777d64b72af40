"""Measures what is lost where the Pyroscope server is not well.

`python -m benchmarks.outage --help`.

    scenarios  how a server is not well, and for how long
    server     a Pyroscope server that behaves like that
    load       requests for as long as it takes
    run        one scenario for one package: what arrived, and what did not
"""
