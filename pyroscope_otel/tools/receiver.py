"""Receives and decodes the pushes of Pyroscope agents.

```python
from pyroscope_otel.tools.receiver import Receiver

with Receiver() as receiver:
    pyroscope.configure(application_name="shop", server_address=receiver.url)
    ...
    pyroscope.shutdown()
    for profile in receiver.profiles:
        ...
```
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import socketserver
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from pyroscope_otel.pprof.messages import PushResponse
from pyroscope_otel.pprof.pushes import MalformedPush, PushedProfile, PushTooLarge, decode_push

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ("Receiver",)

_logger = logging.getLogger(__name__)

_PUSH_PATH = "/push.v1.PusherService/Push"
_CONTENT_TYPES = ("application/proto", "application/x-protobuf")
_MEBIBYTE = 1024 * 1024
_POLL_SECONDS = 0.1  # how soon a stop, a free slot or an overdue connection is noticed
_CHUNK_BYTES = 64 * 1024


class Receiver:
    """Receives the pushes of Pyroscope agents while its `with` block runs.

    Without `on_profiles`, all received profiles are collected in `profiles`. The receiver
    speaks plain HTTP and checks no credentials. Keep it on a loopback address unless the
    network is trusted; on any other address it logs a warning.

    Args:
        on_profiles: Called with the profiles of each accepted push, on the thread that serves
            the push, and never concurrently. The agent gets its response afterwards. If the
            callable raises, the exception is logged and the response is 500. The end of the
            `with` block waits for the callable.
        host: The IPv4 address or host name to bind to.
        port: The TCP port; 0 picks a free one.
        max_body_bytes: The largest body accepted, as sent.
        max_push_bytes: The limit on the decoded size of a push; see `decode_push`.
        timeout: Seconds that a client has to send its request.
        max_connections: The maximum number of concurrent connections. Further ones wait.
    """

    def __init__(  # noqa: PLR0913 -- keyword-only limits, each with a default
        self,
        on_profiles: Callable[[list[PushedProfile]], object] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        max_body_bytes: int = 16 * _MEBIBYTE,
        max_push_bytes: int = 64 * _MEBIBYTE,
        timeout: float = 10.0,
        max_connections: int = 32,
    ) -> None:
        self._address = (host, port)
        self._limits = _Limits(max_body_bytes, max_push_bytes, timeout, max_connections)
        self._on_profiles = self._collect if on_profiles is None else on_profiles
        self._profiles: list[PushedProfile] = []
        self._profiles_lock = threading.Lock()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address to give to the agent, such as `http://127.0.0.1:40123`.

        Raises:
            RuntimeError: The receiver is not running.
        """
        if self._server is None:
            raise RuntimeError("the receiver has an address only inside its with block")
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def profiles(self) -> list[PushedProfile]:
        """The profiles collected so far, oldest first. Empty if `on_profiles` was given.

        A push is included once the agent has its response.
        """
        with self._profiles_lock:
            return list(self._profiles)

    def _collect(self, profiles: list[PushedProfile]) -> None:
        with self._profiles_lock:
            self._profiles += profiles

    def __enter__(self) -> Receiver:  # noqa: PYI034 -- typing.Self begins with Python 3.11
        """Bind the address and start serving.

        Raises:
            OSError: The address cannot be bound.
            RuntimeError: The receiver is already running.
        """
        if self._server is not None:
            raise RuntimeError("the receiver is already running")
        server = _Server(self._address, self._on_profiles, self._limits)
        if not ipaddress.ip_address(str(server.server_address[0])).is_loopback:
            _logger.warning(
                "The receiver listens on %s, which other machines can reach. "
                "It checks no credentials.",
                server.server_address[0],
            )
        # A daemon thread lets a program exit that never ends the block.
        self._thread = threading.Thread(
            target=server.serve_forever,
            args=(_POLL_SECONDS,),
            name="pyroscope-receiver",
            daemon=True,
        )
        self._server = server
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop: answer requests that have arrived, and cut off stalled ones."""
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is not None and thread is not None:
            server.shutdown()
            server.stop_reading()
            server.server_close()
            thread.join()


@dataclass(frozen=True)
class _Limits:
    body_bytes: int
    push_bytes: int
    timeout: float
    connections: int


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        on_profiles: Callable[[list[PushedProfile]], object],
        limits: _Limits,
    ) -> None:
        self.limits = limits
        self._on_profiles = on_profiles
        self._push_lock = threading.Lock()
        self._slots = threading.Semaphore(limits.connections)
        self._open: dict[socket.socket, float] = {}  # connection -> deadline
        self._open_lock = threading.Lock()
        super().__init__(address, _Handler)

    def accept_push(self, body: bytes, *, gzipped: bool) -> None:
        """Decode a push and pass it on. One at a time, to bound memory."""
        with self._push_lock:
            try:
                profiles = decode_push(body, max_bytes=self.limits.push_bytes, gzipped=gzipped)
            except PushTooLarge as error:
                raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error)) from error
            except MalformedPush as error:
                raise _Refused(HTTPStatus.BAD_REQUEST, str(error)) from error
            self._on_profiles(profiles)

    def get_request(self) -> tuple[socket.socket, Any]:
        # Wait for a slot, but briefly, to notice a stop or an overdue connection. On an
        # OSError, serve_forever retries; the client stays in the listen queue.
        if not self._slots.acquire(timeout=_POLL_SECONDS):
            raise OSError("every connection slot is taken")
        try:
            connection, address = super().get_request()
        except OSError:
            self._slots.release()
            raise
        with self._open_lock:
            self._open[connection] = time.monotonic() + self.limits.timeout
        return connection, address

    def close_request(self, request: Any) -> None:
        with self._open_lock:
            was_open = self._open.pop(request, None) is not None
        super().close_request(request)
        if was_open:
            self._slots.release()

    def service_actions(self) -> None:
        # The deadline covers the whole request. A socket timeout restarts with every byte, so
        # a slow client could hold a thread for days.
        self.stop_reading(overdue_at=time.monotonic())

    def stop_reading(self, overdue_at: float = float("inf")) -> None:
        """End the input of connections with a deadline before `overdue_at`; by default of all."""
        with self._open_lock:
            overdue = [open_ for open_, deadline in self._open.items() if deadline <= overdue_at]
            for connection in overdue:
                # Close only the reading half, so that a complete request gets its response.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)

    def handle_error(
        self,
        request: Any,  # noqa: ARG002 -- the base class passes it
        client_address: Any,
    ) -> None:
        """Log at debug level; the base class would write to stderr."""
        _logger.debug(
            "The connection from %s broke",
            client_address[0],
            exc_info=True,  # noqa: LOG014 -- the base class calls this inside its except block
        )


class _Refused(Exception):  # noqa: N818 -- a response, not an error of ours
    """The request gets a 4xx response."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class _Handler(BaseHTTPRequestHandler):
    """Serves the single request of a connection (HTTP/1.0, without keep-alive)."""

    server: _Server
    server_version = "pyroscope-otel-receiver"
    sys_version = ""
    default_request_version = "HTTP/1.0"  # so that a broken request is answered with a status

    def __getattr__(self, name: str) -> Any:
        # The base class calls do_<METHOD>. Accept every method here, so that an unknown one
        # gets 405 instead of 501.
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        try:
            self._check_target()
            gzipped = self._check_media()
            length = self._body_length()
        except _Refused as refused:
            self._refuse(refused.status, refused.reason)
            return
        body = self.rfile.read(length)
        if (got := len(body)) < length:
            self._answer(HTTPStatus.BAD_REQUEST, f"only {got} of {length} bytes arrived in time")
            return
        self._push(body, gzipped=gzipped)

    def _push(self, body: bytes, *, gzipped: bool) -> None:
        try:
            self.server.accept_push(body, gzipped=gzipped)
        except _Refused as refused:
            self._answer(refused.status, refused.reason)
        except Exception:
            _logger.exception("A push was lost: the receiver or its callable failed")
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, "the receiver failed on this push")
        else:
            self._answer(HTTPStatus.OK)

    def _check_target(self) -> None:
        if self.path.partition("?")[0] != _PUSH_PATH:
            raise _Refused(HTTPStatus.NOT_FOUND, f"only {_PUSH_PATH} is served here")
        if self.command != "POST":
            raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, "a push is a POST")

    def _check_media(self) -> bool:
        """Check the content type and encoding, and return whether the body is gzipped."""
        content_type = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if content_type not in _CONTENT_TYPES:
            raise _Refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"Content-Type must be {' or '.join(_CONTENT_TYPES)}",
            )
        encoding = self.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("gzip", "identity"):
            raise _Refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Content-Encoding must be gzip or identity"
            )
        return encoding == "gzip"

    def _body_length(self) -> int:
        lengths = self.headers.get_all("Content-Length", [])
        if not lengths or "Transfer-Encoding" in self.headers:
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "a push needs a Content-Length")
        length = lengths[0].strip()
        if len(lengths) > 1 or not (length.isascii() and length.isdigit()):
            raise _Refused(HTTPStatus.BAD_REQUEST, "Content-Length must be one number")
        limit = self.server.limits.body_bytes
        # Compare the number of digits first: int() refuses thousands of digits, even zeros.
        length = length.lstrip("0") or "0"
        if len(length) > len(str(limit)) or int(length) > limit:
            raise _Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {limit} bytes"
            )
        return int(length)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer requests that the base class refuses, such as a broken request line."""
        status = HTTPStatus(code)
        self._refuse(status, explain or message or status.description)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._answer(status, reason)
        # Closing a socket with unread input resets the connection, and the client may lose
        # the response. So read and discard until the client closes its side, the deadline
        # passes, or there is too much.
        self.connection.shutdown(socket.SHUT_WR)
        left = self.server.limits.body_bytes
        while left > 0 and (chunk := self.rfile.read1(_CHUNK_BYTES)):
            left -= len(chunk)

    def _answer(self, status: HTTPStatus, reason: str = "") -> None:
        if status is HTTPStatus.OK:
            content_type, body = _CONTENT_TYPES[0], PushResponse().SerializeToString()
        else:
            content_type, body = "text/plain; charset=utf-8", f"{reason}\n".encode()
        self.send_response(status)
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "POST")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name is given
        """Log an access at debug level; the base class would write to stderr."""
        _logger.debug("%s: %r", self.client_address[0], format % args)
