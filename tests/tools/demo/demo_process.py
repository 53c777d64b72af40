"""Runs the demo in a process, as a user starts it."""

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
from urllib.parse import urlsplit

COMMAND = (sys.executable, "-m", "pyroscope_otel", "demo")
PATIENCE_SECONDS = 120.0  # a busy machine is ten times as slow

# Variables that a user's shell may have, and that the demo must ignore.
FOREIGN = {
    "PYROSCOPE_ENABLED": "false",
    "PYROSCOPE_APPLICATION_NAME": "not-the-shop",
    "PYROSCOPE_SERVER_ADDRESS": "http://127.0.0.1:9",
    "OTEL_SDK_DISABLED": "true",
    "OTEL_SERVICE_NAME": "not-the-shop",
    "OTEL_TRACES_SAMPLER": "always_off",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
}


def environment(temporary):
    """Return the environment of a demo whose temporary files go to a given folder."""
    return os.environ | FOREIGN | {"TMPDIR": str(temporary)}


class Demo:
    """A running demo, and its output so far."""

    def __init__(self, process, log):
        self.process = process
        self._log = log

    @property
    def printed(self):
        # Not read(): it would move the position at which the demo writes.
        return os.pread(self._log.fileno(), 1_000_000, 0).decode()

    def wait_for(self, pattern):
        """Wait for output that matches, and return the first group."""
        found = wait_until(lambda: self._find(pattern), lambda: f"{pattern} in:\n{self.printed}")
        return found[1]

    def _find(self, pattern):
        found = re.search(pattern, self.printed)
        if found is None and self.process.poll() is not None:
            raise AssertionError(f"it ended without {pattern}:\n{self.printed}")
        return found

    def shop(self):
        """Wait for the shop, and return its address."""
        return self.wait_for(r"Example shop +(http://\S+)")

    def end_by(self, number):
        """Send a signal to its process group, as a terminal does; return the exit status."""
        os.killpg(self.process.pid, number)
        return self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def running_demo(folder, *arguments):
    """Run the demo inside the `with` block."""
    temporary = folder / "temporary"
    temporary.mkdir()
    with (folder / "printed").open("w+b") as log:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=environment(temporary),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Demo(process, log)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE_SECONDS)
            finally:
                process.kill()


def wait_until(condition, what):
    """Wait until a condition holds, and return its value."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < give_up_at, f"waited in vain for {what()}"
        time.sleep(0.05)
    return found


def is_served(url):
    """Return whether a server listens at an address."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


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


def stacks(node, above=(), unit="ns"):
    """Yield each stack of a flame graph as its functions, root first, and its value."""
    waiting = [(node, above)]
    while waiting:
        node, above = waiting.pop()
        path = (*above, node["name"])
        if node[f"self_{unit}"]:
            yield path, node[f"self_{unit}"]
        waiting += [(child, path) for child in node["children"]]
