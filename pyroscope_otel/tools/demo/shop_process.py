"""The example service as a process of its own, as in real life."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING

from pyroscope_otel.setup.installing import pip_install
from pyroscope_otel.tools.demo.errors import DemoFailed
from pyroscope_otel.tools.demo.traffic import round_of_requests, send

if TYPE_CHECKING:
    from types import TracebackType
    from typing import IO

__all__ = ("ShopProcess", "require_packages")

_STOP_SECONDS = 15
_REAP_SECONDS = 1  # from the end of its connections to that of the process
_LAST_LINES = 40

# What the shop needs beside what the local server does.
_NEEDED = {
    "opentelemetry.instrumentation.asgi": "opentelemetry-instrumentation-asgi",
    "opentelemetry.exporter.otlp.proto.http": "opentelemetry-exporter-otlp-proto-http",
}

# The demo is not to depend on what the shell was set up for.
_FOREIGN = ("PYROSCOPE_", "OTEL_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class ShopProcess:
    """Runs the shop while its `with` block runs; it ends with this process in any case.

    Args:
        profiles_to: The address for its profiles.
        traces_to: The address for its traces.
        memory: Whether memory profiles are taken.

    Raises:
        DemoFailed: It does not start, or does not stop when it is asked to.
    """

    def __init__(self, *, profiles_to: str, traces_to: str, memory: bool = False) -> None:
        self._environment = _environment(profiles_to, traces_to, memory=memory)
        self._printed: deque[str] = deque(maxlen=_LAST_LINES)
        self.url = ""

    def __enter__(self) -> ShopProcess:  # noqa: PYI034 -- typing.Self begins with Python 3.11
        """Start it, and wait until it answers."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            descriptor = listening.fileno()
            self._process = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, "-m", "pyroscope_otel.tools.demo.serve_shop", str(descriptor)],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[descriptor],
                # Ctrl-C is for the demo: it stops the shop when its requests are answered.
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,))
        self._reader.start()
        try:
            # It listens already; the answer comes once it serves.
            *_, health = round_of_requests(0)
            send(self.url, health, sampled=False)
        except OSError as error:
            self._end()
            raise DemoFailed(f"The shop did not start: {error}.{self.last_words()}") from error
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it: it answers what it was asked, and sends its last samples and spans."""
        self._end(grace_seconds=_STOP_SECONDS)
        if kind is None and self._process.returncode:
            raise DemoFailed(
                f"The shop did not stop in good order (status {self._process.returncode}), "
                f"so that samples may be missing.{self.last_words()}"
            )

    def check(self) -> None:
        """Raise DemoFailed if it has ended."""
        try:
            status = self._process.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:
            return
        self._reader.join()
        raise DemoFailed(f"The shop has ended, with status {status}.{self.last_words()}")

    def last_words(self) -> str:
        """Return the last lines that it printed, as an end for an error message."""
        text = "".join(self._printed).rstrip()
        return f" It printed:\n\n{text}" if text else " It printed nothing."

    def _read(self, output: IO[bytes]) -> None:
        # To the end, or it would wait for somebody to read.
        with output:
            for line in output:
                self._printed.append(line.decode(errors="replace"))

    def _end(self, grace_seconds: float = 0.0) -> None:
        assert self._process.stdin is not None  # noqa: S101  it is a pipe; for the type checker
        self._process.stdin.close()
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # After a second Ctrl-C as well.
            self._process.kill()
            self._process.wait()
            self._reader.join()


def require_packages() -> None:
    """Raise DemoFailed if a package that the shop needs is not installed."""
    for module, package in _NEEDED.items():
        try:
            found = importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:  # not even what it is in
            found = False
        if not found:
            raise DemoFailed(
                f"The demo needs {package}, which is not installed. "
                f"Install it with: {pip_install('local')}"
            )


def _environment(profiles_to: str, traces_to: str, *, memory: bool) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and name.lower() not in _PROXIES
    }
    return kept | {
        "PYROSCOPE_SERVER_ADDRESS": profiles_to,
        "PYROSCOPE_UPLOAD_INTERVAL": "1s",
        "PYROSCOPE_MEM_ENABLED": "true" if memory else "false",
        "OTEL_EXPORTER_OTLP_ENDPOINT": traces_to,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "500",  # milliseconds
    }
