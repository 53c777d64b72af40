"""Runs the example service in a separate process, as a real service would run."""

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
_REAP_SECONDS = 1  # from the end of the connections to the end of the process
_LAST_LINES = 40

# The packages that the shop needs besides those of the local server.
_NEEDED = {
    "opentelemetry.instrumentation.asgi": "opentelemetry-instrumentation-asgi",
    "opentelemetry.exporter.otlp.proto.http": "opentelemetry-exporter-otlp-proto-http",
}

# Variables in the user's shell must not change the demo.
_FOREIGN = ("PYROSCOPE_", "OTEL_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class ShopProcess:
    """Runs the shop for the duration of a `with` block. The shop never outlives this process.

    Args:
        profiles_to: The address that profiles are pushed to.
        traces_to: The address that traces are sent to.
        memory: Whether to take memory profiles.

    Raises:
        DemoFailed: The shop does not start, or does not stop when asked.
    """

    def __init__(self, *, profiles_to: str, traces_to: str, memory: bool = False) -> None:
        self._environment = _environment(profiles_to, traces_to, memory=memory)
        self._printed: deque[str] = deque(maxlen=_LAST_LINES)
        self.url = ""

    def __enter__(self) -> ShopProcess:  # noqa: PYI034 -- typing.Self begins with Python 3.11
        """Start the shop, and wait until it answers."""
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
                # Ctrl-C must reach only the demo, which stops the shop after its last request.
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,))
        try:
            # Inside: after a Ctrl-C in `start`, the thread would wait for the shop for ever.
            self._reader.start()
            # The socket already listens, so this waits until the shop serves.
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
        """Stop the shop. It finishes its requests and sends its last samples and spans."""
        self._end(grace_seconds=_STOP_SECONDS)
        if kind is None and self._process.returncode:
            raise DemoFailed(
                f"The shop did not stop cleanly (status {self._process.returncode}), "
                f"so samples may be missing.{self.last_words()}"
            )

    def check(self) -> None:
        """Raise DemoFailed if the shop has exited."""
        try:
            status = self._process.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:
            return
        self._reader.join()
        raise DemoFailed(f"The shop has exited with status {status}.{self.last_words()}")

    def last_words(self) -> str:
        """Return the last lines that the shop printed, to append to an error message."""
        text = "".join(self._printed).rstrip()
        return f" It printed:\n\n{text}" if text else " It printed nothing."

    def _read(self, output: IO[bytes]) -> None:
        # Read to the end: a full pipe would block the shop.
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
            # This also runs after a second Ctrl-C.
            self._process.kill()
            self._process.wait()
            if self._reader.is_alive():  # else an interrupt came before it started
                self._reader.join()


def require_packages() -> None:
    """Raise DemoFailed if a package that the shop needs is not installed."""
    for module, package in _NEEDED.items():
        try:
            found = importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:  # the parent package is missing
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
