"""A Pyroscope server that simulates outages."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from pyroscope_otel.pprof.pushes import PushedProfile, decode_push

if TYPE_CHECKING:
    from types import TracebackType

    from benchmarks.outage.scenarios import Health

_MAX_BYTES = 64 * 2**20


class UnwellServer:
    """Accepts pushes on one port while its `with` block runs, except during outages.

    Pushes that it reads while it is silent do not count.
    """

    def __init__(self) -> None:
        self.profiles: list[PushedProfile] = []
        self.health: Health = "well"
        self.woken = threading.Event()
        self._server: _Server | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]

    @property
    def url(self) -> str:
        """The address, also during an outage."""
        return f"http://127.0.0.1:{self._port}"

    def become(self, health: Health) -> None:
        """Change to a state."""
        self.health = health
        self.woken.set()
        self.woken = threading.Event()
        if health == "refuses":
            self._close()
        elif self._server is None:
            self._server = _Server(("127.0.0.1", self._port), _Handler)
            self._server.unwell = self
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> UnwellServer:  # noqa: PYI034 typing.Self begins with Python 3.11
        self.become("well")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.woken.set()
        self._close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    unwell: UnwellServer


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 60

    def do_POST(self) -> None:
        unwell = self.server.unwell
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if unwell.health == "silent":
            unwell.woken.wait()
            self.close_connection = True
            return
        status = 503 if unwell.health == "503" else 200
        if status == 200:
            gzipped = self.headers.get("Content-Encoding") == "gzip"
            unwell.profiles += decode_push(body, max_bytes=_MAX_BYTES, gzipped=gzipped)
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/proto")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass
