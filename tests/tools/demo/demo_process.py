"""Runs the demo in a process, as a user starts it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from urllib.parse import urlsplit

from tests.tools.command_process import PATIENCE_SECONDS, CommandProcess

COMMAND = (sys.executable, "-m", "pyroscope_otel", "demo")

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


class Demo(CommandProcess):
    """A running demo."""

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


def is_served(url):
    """Return whether a server listens at an address."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=5).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return False  # a reset: the server has just ended
    return True


def stacks(node, above=(), unit="ns"):
    """Yield each stack of a flame graph as its functions, root first, and its value."""
    waiting = [(node, above)]
    while waiting:
        node, above = waiting.pop()
        path = (*above, node["name"])
        if node[f"self_{unit}"]:
            yield path, node[f"self_{unit}"]
        waiting += [(child, path) for child in node["children"]]
