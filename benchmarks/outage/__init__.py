"""Measures how much is lost during an outage of the Pyroscope server.

Run `python -m benchmarks.outage --help`.

    scenarios  the outages
    server     a Pyroscope server with outages
    load       sends requests until it is stopped
    run        runs one scenario for one package, and counts what arrived
"""
