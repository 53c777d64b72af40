"""The command line: `python -m benchmarks.torture --seconds 1800 --sampler stack`."""

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

from pyroscope_otel.receiver import Receiver

_ROUTES = ("turns", "thread", "deep", "turns", "extensions", "turns", "processes", "thread")
_CLIENTS = 4
_SERVERS = {
    "uvloop": ("-m", "uvicorn", "--loop", "uvloop", "--port", "0", "--no-access-log", "--factory"),
    "asyncio": (
        "-m",
        "uvicorn",
        "--loop",
        "asyncio",
        "--port",
        "0",
        "--no-access-log",
        "--factory",
    ),
}


def main() -> int:
    """Serve, send requests for so long, stop, and say what came of it: 1 if it was not all well."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torture", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--sampler", default="stack", choices=("stack", "pyspy", "auto"))
    parser.add_argument("--loop", default="uvloop", choices=("uvloop", "asyncio"))
    options = parser.parse_args()
    totals = Counter()
    with Receiver(on_profiles=lambda profiles: _add_up(profiles, totals)) as receiver:
        environment = {
            **os.environ,
            "TORTURE_SAMPLER": options.sampler,
            "PYROSCOPE_SERVER_ADDRESS": receiver.url,
        }
        app = "benchmarks.torture.app:make_app"
        command = [sys.executable, *_SERVER, options.loop, app]
        server = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        log: list[str] = []
        port = _port(server, log)
        threading.Thread(target=log.extend, args=(server.stderr,), daemon=True).start()
        counts, spent, slowest = _load(port, options.seconds)
        numbers = _get(port, "numbers")
        begin = time.monotonic()
        server.send_signal(signal.SIGTERM)
        try:
            status = server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            status = "hangs"
        ending = time.monotonic() - begin
    off = 100 * (totals["burned"] / 1e9 / spent - 1) if spent else float("nan")
    wrong = [
        name
        for name in ("unlinked",)
        if totals["samples"] and totals[name] > 0.02 * totals["samples"]
    ]
    print(
        f"python {sys.version.split()[0]}, {options.sampler}, {options.loop}, {options.seconds:.0f} s"
    )
    print(
        f"requests {sum(counts.values())}, lost {counts['lost']}, slowest {slowest * 1000:.0f} ms"
    )
    print(f"exit {status} after {ending:.1f} s, numbers {numbers}")
    print(f"CPU burned {spent:.1f} s, in profiles {totals['burned'] / 1e9:.1f} s ({off:+.1f} %)")
    print(
        f"of burning: linked {totals['samples'] - totals['unlinked']}, not {totals['unlinked']} samples"
    )
    print(f"memory: linked {totals['memory linked']} of {totals['memory']} bytes")
    tracebacks = [line for line in log if "Traceback" in line or "Fatal" in line]
    print(f"tracebacks or fatal errors: {len(tracebacks)}")
    print("".join(log[-15:]), file=sys.stderr)
    is_well = not (
        counts["lost"] or tracebacks or many_unlinked or status in ("hangs", -11, -7, -6)
    )
    return 0 if is_well else 1


def _add_up(profiles, totals: Counter) -> None:
    for profile in profiles:
        for sample in profile.samples:
            is_linked = sample.label("span_id") is not None
            if profile.sample_type == "cpu":
                functions = {frame.function.rpartition(".")[2] for frame in sample.stack}
                if "burn" in functions and functions & {"turns", "thread", "deep", "deep_"}:
                    totals["burned"] += sample.value
                    totals["samples"] += 1
                    totals["unlinked"] += not is_linked
            elif profile.sample_type == "alloc_space":
                totals["memory"] += sample.value
                totals["memory linked"] += sample.value if is_linked else 0


def _port(server, log: list[str]) -> int:
    for line in server.stderr:
        log.append(line)
        if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
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


def _load(port: int, seconds: float) -> tuple[Counter, float, float]:
    counts, spent, slowest = Counter(), [0.0], [0.0]
    lock, end = threading.Lock(), time.monotonic() + seconds

    def client(offset: int) -> None:
        number = offset
        while time.monotonic() < end:
            number += 1
            begin = time.monotonic()
            route = _ROUTES[number % len(_ROUTES)]
            try:
                took = _get(port, route)["spent"]
            except OSError as error:
                print(f"lost {route}: {error!r}", file=sys.stderr, flush=True)
                route, took = "lost", 0.0
            with lock:
                counts[route] += 1
                spent[0] += took
                slowest[0] = max(slowest[0], time.monotonic() - begin)

    clients = [threading.Thread(target=client, args=(n * 2,)) for n in range(_CLIENTS)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    return counts, spent[0], slowest[0]


if __name__ == "__main__":
    sys.exit(main())
