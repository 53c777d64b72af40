"""Receives the pushes of this process's agent on a separate OS thread."""

from __future__ import annotations

import _socket
import contextlib
import secrets
import time
from typing import TYPE_CHECKING, Any

from pyroscope_otel.relay import log, unpatched
from pyroscope_otel.relay.agent_request import (
    HEAD_BYTES,
    SECRET_HEADER,
    Head,
    Refused,
    answer,
    parse_head,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Receiver",)

_REQUEST_SECONDS = 10.0
_PAUSE_SECONDS = 0.1
_REACH_SECONDS = 2.0
_MAX_CONNECTIONS = 16
_BACKLOG = 128
_CHUNK_BYTES = 256 * 1024


class Receiver:
    """A server on a port of 127.0.0.1, for one client that knows a secret.

    One thread serves all connections as bytes arrive, so a stalled client blocks no other.

    Args:
        take: Called on the receiving thread with the body and the head of each push. The client
            gets its answer afterwards.

    Attributes:
        url: The server's address.
    """

    def __init__(self, take: Callable[[bytes, Head], object]) -> None:
        self.url = ""
        self._take = take
        self._secret = secrets.token_urlsafe(32).encode()
        self._listening = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        self._wake, self._woken = _socket.socketpair()
        self._connections: dict[int, _Connection] = {}
        self._is_stopping = False
        self._ended = unpatched.Signal()

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the client must send. They contain the secret."""
        return {SECRET_HEADER: self._secret.decode()}

    def start(self) -> None:
        """Bind, and start the thread.

        Raises:
            OSError: If 127.0.0.1 cannot be bound or reached.
            RuntimeError: If no thread can start.
        """
        try:
            for sock in (self._listening, self._wake, self._woken):
                sock.setblocking(False)  # noqa: FBT003  positional only
            self._listening.bind(("127.0.0.1", 0))
            self._listening.listen(_BACKLOG)
            host, port = self._listening.getsockname()
            self.url = f"http://{host}:{port}"
            self._check_reachable(host, port)
            unpatched.start_thread(self._run, ())
        except BaseException:
            self.close()
            raise

    def _check_reachable(self, host: str, port: int) -> None:
        """Connect once: binding succeeds even if the loopback device is down."""
        sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        try:
            sock.settimeout(_REACH_SECONDS)
            sock.connect((host, port))
        finally:
            sock.close()

    def stop(self, timeout: float) -> bool:
        """Stop the thread. Return whether it has ended in time."""
        self._is_stopping = True
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")
        return self._ended.stays_set(timeout)

    def close(self) -> None:
        """Close the sockets, after the thread has ended or in a forked child without it."""
        for sock in (
            self._listening,
            self._wake,
            self._woken,
            *(open_.sock for open_ in self._connections.values()),
        ):
            sock.close()

    def _run(self) -> None:
        try:
            poll = unpatched.select.poll()
            poll.register(self._woken, unpatched.select.POLLIN)
            poll.register(self._listening, unpatched.select.POLLIN)
            while not self._is_stopping:
                for descriptor, _ in poll.poll(self._milliseconds_left()):
                    if descriptor == self._listening.fileno():
                        self._accept(poll)
                    elif descriptor in self._connections:
                        self._serve(self._connections[descriptor], poll)
                for connection in self._overdue():
                    self._drop(connection, poll)
        finally:
            self.close()
            self._ended.set()

    def _milliseconds_left(self) -> float | None:
        """Return the time until a connection is overdue, or None for no limit."""
        deadlines = [open_.deadline for open_ in self._connections.values() if open_.deadline]
        return max(0.0, min(deadlines) - time.monotonic()) * 1000 if deadlines else None

    def _overdue(self) -> list[_Connection]:
        now = time.monotonic()
        return [
            open_ for open_ in self._connections.values() if open_.deadline and open_.deadline < now
        ]

    def _accept(self, poll: Any) -> None:
        try:
            descriptor, _ = self._listening._accept()  # type: ignore[attr-defined]  # noqa: SLF001
        except OSError:
            # The client has gone, or the process has too many open files. In that case the
            # connection keeps waiting, and retrying without a pause would use a whole core.
            unpatched.sleep(_PAUSE_SECONDS)
            return
        if len(self._connections) == _MAX_CONNECTIONS:
            # The agent has one connection. The others are strangers', and the oldest has waited
            # longest.
            strangers = [open_ for open_ in self._connections.values() if not open_.is_known]
            self._drop(next(iter(strangers or self._connections.values())), poll)
        connection = _Connection(_socket.socket(fileno=descriptor))
        self._connections[descriptor] = connection
        poll.register(descriptor, unpatched.select.POLLIN)

    def _serve(self, connection: _Connection, poll: Any) -> None:
        """Read the available bytes, and answer complete requests."""
        try:
            received = connection.sock.recv(_CHUNK_BYTES)
            is_open = bool(received) and self._answer(connection, received)
        except BlockingIOError:
            return
        except OSError:
            is_open = False
        except Exception:
            is_open = False
            log.report("take profiles from the agent")
        if not is_open:
            self._drop(connection, poll)

    def _answer(self, connection: _Connection, received: bytes) -> bool:
        """Answer complete requests. Return whether the connection stays open."""
        stays_open = True
        while stays_open:
            status = 200
            try:
                request = connection.next_request(received, self._secret)
                if request is None:
                    break
                head, body = request
                self._take(body, head)
                stays_open = head.keeps_alive
            except Refused as refused:
                status, stays_open = refused.status, False
            connection.sock.send(answer(status, keeps_alive=stays_open))
            received = b""
        return stays_open

    def _drop(self, connection: _Connection, poll: Any) -> None:
        descriptor = connection.sock.fileno()
        poll.unregister(descriptor)
        del self._connections[descriptor]
        connection.sock.close()


class _Connection:
    """A connection and its partly received request.

    Attributes:
        sock: Its non-blocking socket.
        is_known: Whether the client has sent the secret.
        deadline: When the request must be complete, by `time.monotonic`. 0 for no limit: the
            agent keeps its connection open between pushes.
    """

    def __init__(self, sock: _socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003  positional only
        self.sock = sock
        self.is_known = False
        self.deadline = time.monotonic() + _REQUEST_SECONDS
        self._buffer = bytearray()
        self._head: Head | None = None

    def next_request(self, received: bytes, secret: bytes) -> tuple[Head, bytes] | None:
        """Return the next request if it is complete with these bytes.

        Raises:
            Refused: If the request is not accepted.
        """
        buffer = self._buffer
        buffer += received
        if not buffer:
            return None
        if not self.deadline:
            self.deadline = time.monotonic() + _REQUEST_SECONDS
        if self._head is None:
            end = buffer.find(b"\r\n\r\n", 0, HEAD_BYTES)
            if end < 0:
                if len(buffer) >= HEAD_BYTES:
                    raise Refused(431)
                return None
            self._head = parse_head(bytes(buffer[:end]), secret)
            self.is_known = True
            del buffer[: end + 4]
        head = self._head
        if len(buffer) < head.length:
            return None
        body = bytes(buffer[: head.length])
        del buffer[: head.length]
        self._head = None
        self.deadline = 0.0
        return head, body
