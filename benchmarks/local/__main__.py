"""Puts load on the local server, kills it, and checks that acknowledged data is stored.

    python -m benchmarks.local

The server is filled with 100,000 requests and their samples. Then, for a minute, it gets the spans
of 1,000 requests a second, each in its own export, and pushes of CPU and memory profiles from 50
processes, while a reader asks for the page and each part of the API in turn. It is killed (SIGKILL)
and restarted on its file, which is searched for every acknowledged profile id. Finally the reader
asks again, without load.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.local.readers import ask_for, ask_rounds, get, print_times
from benchmarks.local.senders import Sent, fill, send_exports, send_pushes
from pyroscope_otel.tools.serve.schema import from_key

if TYPE_CHECKING:
    from collections.abc import Iterator

_SERVE = """
import sys
from pyroscope_otel.tools.serve import serve
serve(lambda server: print(server.url, flush=True), port=0, otlp_port=None, data=sys.argv[1])
"""


class Server:
    """The local server in a separate process."""

    def __init__(self, data: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(data)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def peak_mebibytes(self) -> float:
        """Return the peak of its resident memory."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def cpu_seconds(self) -> float:
        """Return the CPU time it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def serving(data: Path) -> Iterator[Server]:
    """Run the server."""
    server = Server(data)
    try:
        yield server
    finally:
        server.kill()


def main() -> None:
    """Run all measurements."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        with serving(data) as server:
            fill(server.url, options.stored)
            _print_stored(server)
            sent = _load(server, options)
        with serving(data) as server:
            _count(data, sent)
            _print_stored(server)
            print("answers without load:")
            print_times(ask_rounds(server.url, options.rounds))
            print(f"server: peak {server.peak_mebibytes():.0f} MiB")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.local", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=60, help="seconds of load (default: 60)")
    parser.add_argument("--rate", type=float, default=1000, help="requests a second (1000)")
    parser.add_argument("--connections", type=int, default=200, help="of exports (200)")
    parser.add_argument("--processes", type=int, default=50, help="processes that push (50)")
    parser.add_argument("--interval", type=float, default=10, help="seconds between pushes (10)")
    parser.add_argument("--samples", type=int, default=100, help="samples in a push (100)")
    parser.add_argument("--stored", type=int, default=100_000, help="requests at first (100000)")
    parser.add_argument("--rounds", type=int, default=20, help="rounds without load (20)")
    return parser


def _print_stored(server: Server) -> None:
    status = json.loads(get(server.url, "/api/status"))
    print(
        f"stored: {status['requests']:,} requests, {status['spans']:,} spans, "
        f"{status['profiles']:,} profiles, {status['stored_bytes'] / 1024**2:.0f} MiB",
        flush=True,
    )


def _load(server: Server, options: argparse.Namespace) -> list[Sent]:
    context = multiprocessing.get_context("fork")
    used = server.cpu_seconds()
    with ProcessPoolExecutor(options.processes + 2, mp_context=context) as pool:
        exports = pool.submit(
            send_exports, server.url, options.rate, options.seconds, options.connections
        )
        pushes = [
            pool.submit(
                send_pushes, server.url, number, options.seconds, options.interval, options.samples
            )
            for number in range(options.processes)
        ]
        asked = pool.submit(ask_for, server.url, options.seconds)
        begun = time.monotonic()
        spans = exports.result()
        took = time.monotonic() - begun
        pushed = [each.result() for each in pushes]
    print(
        f"{len(spans.acknowledged):,} exports acknowledged in {took:.1f} s, {spans.refused} not: "
        f"{len(spans.acknowledged) / took:,.0f} a second"
    )
    _print_seconds("answer to an export", spans.seconds)
    acknowledged = sum(len(each.acknowledged) for each in pushed)
    answers = [seconds for each in pushed for seconds in each.seconds]
    refused = sum(each.refused for each in pushed)
    print(f"{len(answers)} pushes with {acknowledged:,} samples acknowledged, {refused} not")
    _print_seconds("answer to a push", answers)
    used = server.cpu_seconds() - used
    print(f"server: {used:.1f} s of CPU, peak {server.peak_mebibytes():.0f} MiB")
    print(f"answers under load (the machine's load average is {os.getloadavg()[0]:.1f}):")
    print_times(asked.result())
    return [spans, *pushed]


def _print_seconds(what: str, seconds: list[float]) -> None:
    cuts = statistics.quantiles(seconds, n=100)
    print(
        f"  {what}: median {cuts[49] * 1e3:.0f} ms, 99 % {cuts[98] * 1e3:.0f} ms, "
        f"longest {max(seconds) * 1e3:.0f} ms"
    )


def _count(data: Path, sent: list[Sent]) -> None:
    """Search the file for every acknowledged profile id, after the kill."""
    connection = sqlite3.connect(f"{data.as_uri()}?mode=ro", uri=True)
    for what, column, senders in (
        ("requests", "start_ns", sent[:1]),
        ("CPU profiles", "cpu_ns", sent[1:]),
        ("memory profiles", "alloc_bytes", sent[1:]),
    ):
        query = f"SELECT profile_id FROM requests WHERE {column} IS NOT NULL"  # noqa: S608 -- ours
        stored = {from_key(key) for (key,) in connection.execute(query)}
        acknowledged = {key for each in senders for key in each.acknowledged}
        # The file may also have data that was not acknowledged before the kill.
        print(
            f"after SIGKILL: {len(stored):,} {what} stored, "
            f"{len(acknowledged - stored)} acknowledged and lost"
        )
    connection.close()


if __name__ == "__main__":
    main()
