"""`pyroscope-otel run` as a process of its own, as a person starts it."""

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

PATIENCE_SECONDS = 100.0  # on a busy machine it is ten times as slow
BIN = Path(sys.executable).parent

# What the applications spend their time with: half a second of the thread's own.
WORK = """
import time

def price_lines():
    end = time.thread_time() + 0.5
    while time.thread_time() < end:
        sum(range(1000))
"""


def environment(**more):
    """Return an environment with nothing of ours in it, and this Python's commands."""
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
    """Run a command to its end; return what it printed, and the exit status."""
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
    """A command that runs, and what was printed so far."""

    def __init__(self, process, log):
        self.process = process
        self._log = log

    @property
    def printed(self):
        # Not read(): the command writes where this file's position is.
        return os.pread(self._log.fileno(), 1_000_000, 0).decode()

    @property
    def url(self):
        return self.wait_for(r"The requests of .* are at (http://\S+)/\n")

    def wait_for(self, pattern):
        """Wait until what matches was printed, and return the first group."""
        found = wait_until(lambda: self._find(pattern), lambda: f"{pattern} in:\n{self.printed}")
        return found[1] if found.groups() else found[0]

    def _find(self, pattern):
        found = re.search(pattern, self.printed)
        if found is None and self.process.poll() is not None:
            raise AssertionError(f"it ended without {pattern}:\n{self.printed}")
        return found

    def answer(self, port, path):
        """Return what the application answers, once it does."""

        def asked():
            assert self.process.poll() is None, self.printed
            with contextlib.suppress(ConnectionError):
                return get(f"http://127.0.0.1:{port}{path}")
            return None

        return wait_until(asked, lambda: f"an answer; printed:\n{self.printed}")

    def profiled(self, route, function="price_lines"):
        """Wait for a request of a route whose flame graph has a function; return it."""

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
        """Send a signal to `run` alone, and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def running(folder, *words, options=("--port", "0"), **more):
    """Run a command while the `with` block does."""
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
    """Wait until a condition holds, and return what it returned."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < give_up_at, f"waited in vain for {what()}"
        time.sleep(0.1)
    return found


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def get(url):
    """Return what an address answers, without a proxy."""
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
    """Return what the local server's API answers."""
    return json.loads(get(f"{url}/api/{what}"))


def functions(node):
    """Return the names of all functions of a flame graph."""
    waiting, names = [node], set()
    while waiting:
        node = waiting.pop()
        names.add(node["name"])
        waiting += node["children"]
    return names
