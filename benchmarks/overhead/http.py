"""Measures the cost of a request to a trivial endpoint, with a working or failing Pyroscope."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from benchmarks.overhead import child
from benchmarks.overhead.set_up import VARIANTS
from benchmarks.overhead.sink import HEALTHS, Health, Sink
from benchmarks.overhead.table import spread, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.overhead.options import Options

_APPS = {
    "FastAPI async def, uvicorn uvloop": ("asgi", "/async/7"),
    "FastAPI def, uvicorn uvloop": ("asgi", "/def/7"),
    "WSGI, gunicorn gthread": ("wsgi", "/wsgi/7"),
}
_STOP_SECONDS = 30.0

Results = dict[str, dict[str, list[dict[str, float]]]]
"""The results of each round, by application and variant."""


def measure(options: Options) -> dict[str, Results]:
    """Measure every variant and every state of the Pyroscope server, round by round."""
    return {"variants": _compare_variants(options), "healths": _compare_healths(options)}


def _compare_variants(options: Options) -> Results:
    results: Results = {}
    with Sink() as sink:
        for number in range(1, options.rounds + 1):
            for app in _APPS:
                options.say(f"http: round {number}/{options.rounds}, {app}")
                for variant in options.variants(VARIANTS):
                    of_app = results.setdefault(app, {})
                    load = {"requests": 500 if options.quick else 6000, "seconds": 0}
                    of_app.setdefault(variant, []).append(
                        _one_round(app, variant, sink, load, options)
                    )
    return results


def _compare_healths(options: Options) -> Results:
    results: Results = {}
    # Long enough for several uploads, and for a backlog.
    load = {"requests": 500, "seconds": 3 if options.quick else 12}
    for app in _APPS:
        for health in HEALTHS:
            options.say(f"http: {app}, the Pyroscope server: {HEALTHS[health]}")
            with Sink(health) as sink:
                outcome = _one_round(app, "middleware", sink, load, options)
                outcome["pushes"] = sink.pushes
            results.setdefault(app, {})[health] = [outcome]
    return results


def _one_round(
    app: str, variant: str, sink: Sink, load: dict[str, Any], options: Options
) -> dict[str, float]:
    kind, path = _APPS[app]
    setting = options.setting(variant, sink.address) | {"server_kind": kind}
    with _server(setting) as server:
        # Until numbers are used again, each request makes new marks, which costs more.
        warm_up = 300 if options.quick else 6000
        client = {"port": server.port, "path": path, "connections": 16, "warm_up": warm_up}
        outcome = child.run("http_client", client | load, timeout=300)
    percentiles = quantiles(outcome["latencies"], n=100) if outcome["latencies"] else [0.0] * 99
    return {
        "requests": outcome["requests"],
        "failures": outcome["failures"],
        "examples": outcome["examples"],
        "rate": len(outcome["latencies"]) / outcome["seconds"],
        "p50": percentiles[49] * 1000,
        "p99": percentiles[98] * 1000,
        "stop": server.stop_seconds,
    }


class _Server:
    port = 0
    stop_seconds = 0.0


@contextlib.contextmanager
def _server(setting: dict[str, Any]) -> Iterator[_Server]:
    server = _Server()
    with tempfile.TemporaryFile() as log, socket.create_server(("127.0.0.1", 0)) as listener:
        # The socket accepts connections now; the first requests wait until the server is ready.
        server.port = listener.getsockname()[1]
        descriptor = listener.fileno()
        process = subprocess.Popen(
            child.command("http_apps", setting | {"listener": descriptor}),
            cwd=child.REPOSITORY,
            env=child.environment(),
            pass_fds=(descriptor,),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            listener.close()
            yield server
            begin = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_SECONDS)
            server.stop_seconds = time.monotonic() - begin
        except (child.ChildError, subprocess.TimeoutExpired) as error:
            log.seek(0)
            end = "\n".join(log.read().decode(errors="replace").splitlines()[-25:])
            raise child.ChildError(f"{error}\nthe server's log:\n{end}") from error
        finally:
            # Kill the whole session, as workers may outlive a master.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def show(results: dict[str, Results]) -> str:
    """Return both tables. The bar for the rate is 98 % of tracing alone."""
    heads = ["application", "variant", "requests/s", "min..max", "rate", "p50 ms", "min..max"]
    heads += ["p99 ms", "min..max", "failed"]
    rows = []
    for app, of_app in results["variants"].items():
        base = median(one["rate"] for one in of_app["none"])
        for variant, rounds in of_app.items():
            row = [app, VARIANTS[variant]]
            for name, digits in (("rate", 0), ("p50", 1), ("p99", 1)):
                values = [one[name] for one in rounds]
                row += [f"{median(values):.{digits}f}", spread(values, digits)]
                if name == "rate":
                    row.append(f"{100 * median(values) / base:.1f} %")
            rows.append([*row, str(sum(one["failures"] for one in rounds))])
    return table(heads, rows) + "\n\n" + _show_healths(results["healths"])


def _show_healths(results: Results) -> str:
    heads = ["application, ours as middleware", "Pyroscope server", "pushes begun", "requests"]
    heads += ["failed", "requests/s", "p50 ms", "p99 ms", "stops in s"]
    rows = []
    for app, of_app in results.items():
        health: Health
        for health, (one,) in of_app.items():
            pushes = "-" if health == "unreachable" else str(one["pushes"])
            row = [app, HEALTHS[health], pushes, f"{one['requests']}", f"{one['failures']}"]
            row += [f"{one['rate']:.0f}", f"{one['p50']:.1f}", f"{one['p99']:.1f}"]
            rows.append([*row, f"{one['stop']:.1f}"])
    return table(heads, rows)
