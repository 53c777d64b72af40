"""Runs `pyroscope-otel run` in a process, as a user starts it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

PATIENCE_SECONDS = 100.0  # a busy machine is ten times as slow
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


class Running:
    """A running command, and its output so far."""

    def __init__(self, process, log):
        self.process = process
        self._log = log

    @property
    def printed(self):
        # Not read(): it would move the position at which the command writes.
        return os.pread(self._log.fileno(), 1_000_000, 0).decode()

    @property
    def url(self):
        return self.wait_for(r"The requests of .* are at (http://\S+)/\n")

    def wait_for(self, pattern):
        """Wait for output that matches; return its first group, or all of it without groups."""
        found = wait_until(lambda: self._find(pattern), lambda: f"{pattern} in:\n{self.printed}")
        return found[1] if found.groups() else found[0]

    def _find(self, pattern):
        found = re.search(pattern, self.printed)
        if found is None and self.process.poll() is not None:
            raise AssertionError(f"it ended without {pattern}:\n{self.printed}")
        return found

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


def wait_until(condition, what):
    """Wait until a condition holds, and return its value."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < give_up_at, f"waited in vain for {what()}"
        time.sleep(0.1)
    return found


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def get(url):
    """Return the response body of an address, without a proxy."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    assert answer.status == 200, body
    return body


def ask(url, what):
    """Return the answer of the local server's API."""
    return json.loads(get(f"{url}/api/{what}"))


def functions(node):
    """Return the names of all functions in a flame graph."""
    waiting, names = [node], set()
    while waiting:
        node = waiting.pop()
        names.add(node["name"])
        waiting += node["children"]
    return names
