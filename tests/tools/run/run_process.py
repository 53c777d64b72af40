"""Runs `pyroscope-otel run` in a process, as a user starts it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from tests.tools.command_process import (
    PATIENCE_SECONDS,
    CommandProcess,
    ask,
    get,
    wait_until,
)

BIN = Path(sys.executable).parent

# The work of the applications: half a second of the thread's CPU time.
WORK = """
import time

def price_lines():
    end = time.thread_time() + 0.5
    while time.thread_time() < end:
        sum(range(1000))
"""


def environment(**more):
    """Return an environment without settings, and with the commands of this Python."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYROSCOPE_", "OTEL_", "PYTEST_", "PYTHONPATH", "DJANGO_"))
        and not name.lower().endswith("_proxy")
    }
    return kept | {"PATH": f"{BIN}{os.pathsep}{kept['PATH']}", "PYTHONUNBUFFERED": "1"} | more


def command(*words, options=("--port", "0")):
    return [sys.executable, "-m", "pyroscope_otel", "run", *map(str, [*options, *words])]


def finished(folder, *words, options=("--port", "0"), check=None, **more):
    """Run a command to its end; return its output and exit status."""
    done = subprocess.run(
        command(*words, options=options),
        cwd=folder,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    if check is not None:
        assert done.returncode == check, done.stdout + done.stderr
    return done


class Running(CommandProcess):
    """A running command."""

    @property
    def url(self):
        return self.wait_for(r"The requests of .* are at (http://\S+)/\n")

    def answer(self, port, path):
        """Wait until the application answers, and return the response body."""

        def asked():
            assert self.process.poll() is None, self.printed
            with contextlib.suppress(ConnectionError):
                return get(f"http://127.0.0.1:{port}{path}")
            return None

        return wait_until(asked, lambda: f"an answer; printed:\n{self.printed}")

    def profiled(self, route, function="price_lines"):
        """Wait for a request of a route with a function in its flame graph; return it."""

        def found():
            for one in ask(self.url, f"requests?route={quote(route)}")["requests"]:
                flame = one["cpu_ns"] and ask(
                    self.url, f"flamegraph?profile_id={one['profile_id']}"
                )
                if flame and function in functions(flame["root"]):
                    return one
            return None

        def what():
            routes = {one["route"] for one in ask(self.url, "requests")["requests"]}
            return f"{function} in {route}; there are {routes}; printed:\n{self.printed}"

        return wait_until(found, what)

    def end(self, number=signal.SIGTERM):
        """Send a signal to `run` alone; return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def running(folder, *words, options=("--port", "0"), **more):
    """Run a command inside the `with` block."""
    with (folder / "printed").open("w+b") as log:
        process = subprocess.Popen(
            command(*words, options=options),
            cwd=folder,
            env=environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Running(process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE_SECONDS)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def functions(node):
    """Return the names of all functions in a flame graph."""
    waiting, names = [node], set()
    while waiting:
        node = waiting.pop()
        names.add(node["name"])
        waiting += node["children"]
    return names
