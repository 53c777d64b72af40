"""Stresses a sampler: `python -m benchmarks.torture --seconds 1800 --sampler stack`.

Serves thousands of requests with short threads, forks, subprocesses, deep recursion, extension
modules, a signal handler every 5 ms, and memory profiles. Then it compares the application's CPU
time with the profiles.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from pyroscope_otel.tools.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROUTES = ("turns", "thread", "deep", "turns", "extensions", "turns", "thread")
_PROCESSES = (*_ROUTES, "processes")
_CLIENTS = 4
_UVICORN = ("uvicorn", "benchmarks.torture.app:make_app", "--factory", "--port", "0")
_GUNICORN = ("gunicorn", "benchmarks.torture.flask_app:make_app()", "--bind", "127.0.0.1:0")
_SERVERS = {
    "uvloop": (*_UVICORN, "--no-access-log", "--loop", "uvloop"),
    "asyncio": (*_UVICORN, "--no-access-log", "--loop", "asyncio"),
    "gevent": (*_GUNICORN, "--worker-class", "gevent"),
}
_ENDS = (0, -signal.SIGTERM)
_UNLINKED_AT_MOST = 0.02


def main() -> int:
    """Serve, send requests for a time, stop, and print the results. Return 1 on any failure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.torture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--sampler", default="stack", choices=("stack", "pyspy", "auto"))
    parser.add_argument("--server", default="uvloop", choices=_SERVERS)
    parser.add_argument(
        "--faulthandler",
        default="first",
        choices=("first", "later"),
        help="enable faulthandler before the sampler starts, or 20 s later, which ends Stack",
    )
    options = parser.parse_args()
    totals: Counter[str] = Counter()
    with Receiver(on_profiles=lambda profiles: _add_up(profiles, totals)) as receiver:
        environment = {
            **os.environ,
            "TORTURE_SAMPLER": options.sampler,
            "TORTURE_FAULTHANDLER": options.faulthandler,
            "PYROSCOPE_SERVER_ADDRESS": receiver.url,
        }
        command = [sys.executable, "-m", *_SERVERS[options.server]]
        server = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        log: list[str] = []
        port = _port(server, log)
        threading.Thread(target=log.extend, args=(server.stderr,), daemon=True).start()
        routes = _ROUTES if options.server == "gevent" else _PROCESSES
        counts, spent, slowest = _load(port, routes, options.seconds)
        numbers = _get(port, "numbers")
        status, ending = _end(server)
    in_profiles = totals["burned"] / 1e9
    off = 100 * (in_profiles / spent - 1) if spent else float("nan")
    fatal = [line for line in log if "Traceback" in line or "Fatal" in line]
    print(
        f"python {sys.version.split()[0]}, {options.sampler}, {options.server}, "
        f"faulthandler {options.faulthandler}"
    )
    print(f"requests {counts.total()}, lost {counts['lost']}, slowest {slowest * 1000:.0f} ms")
    print(f"exit {status} after {ending:.1f} s, numbers {numbers}, fatal lines {len(fatal)}")
    print(f"CPU time {spent:.1f} s, in profiles {in_profiles:.1f} s ({off:+.1f} %)")
    print(f"rows of it {totals['rows']}, without a request {totals['unlinked']}")
    print(f"memory: {totals['memory linked']} of {totals['memory']} bytes with a request")
    shown = log[log.index(fatal[0]) :][:60] if fatal else log[-15:]
    print("".join(shown), file=sys.stderr)
    is_linked = totals["unlinked"] <= _UNLINKED_AT_MOST * totals["rows"]
    return 0 if is_linked and status in _ENDS and not counts["lost"] and not fatal else 1


def _end(server) -> tuple[int | str, float]:
    begin = time.monotonic()
    server.send_signal(signal.SIGTERM)
    try:
        status = server.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()
        status = "hangs"
    return status, time.monotonic() - begin


def _add_up(profiles, totals: Counter[str]) -> None:
    for profile in profiles:
        for sample in profile.samples:
            is_linked = sample.label("span_id") is not None
            if profile.sample_type == "cpu":
                functions = {frame.function.rpartition(".")[2] for frame in sample.stack}
                if "burn" in functions and functions & {"turns", "thread", "deep"}:
                    totals["burned"] += sample.value
                    totals["rows"] += 1
                    totals["unlinked"] += not is_linked
            elif profile.sample_type == "alloc_space":
                totals["memory"] += sample.value
                totals["memory linked"] += sample.value if is_linked else 0


def _port(server, log: list[str]) -> int:
    for line in server.stderr:
        log.append(line)
        if found := re.search(r"(?:running on|Listening at:) http://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise SystemExit("".join(log))


def _get(port: int, route: str) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", f"/{route}")
        response = connection.getresponse()
        body = response.read()
        if response.status != http.HTTPStatus.OK:
            raise OSError(f"{response.status}: {body!r}")
        return json.loads(body)
    finally:
        connection.close()


def _load(port: int, routes: Sequence[str], seconds: float) -> tuple[Counter[str], float, float]:
    counts: Counter[str] = Counter()
    took: list[float] = []
    spent: list[float] = []
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        while time.monotonic() < end:
            number += 1
            begin = time.monotonic()
            route = routes[number % len(routes)]
            try:
                spent.append(_get(port, route)["spent"])
            except OSError as error:
                print(f"lost {route}: {error!r}", file=sys.stderr, flush=True)
                route = "lost"
            counts[route] += 1
            took.append(time.monotonic() - begin)

    clients = [threading.Thread(target=client, args=(n * 2,)) for n in range(_CLIENTS)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    return counts, sum(spent), max(took)


if __name__ == "__main__":
    sys.exit(main())
