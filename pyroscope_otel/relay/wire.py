"""A connection that blocks one OS thread, with one deadline for everything.

It runs `http.client` over `_socket`, which neither gevent nor eventlet patches. A timeout of
`socket` would start again with every byte.
"""

from __future__ import annotations

import _socket
import io
import ssl
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Plain", "Secure")

_CHUNK_BYTES = 64 * 1024


class Plain:
    """A TCP connection with the methods that `http.client` needs.

    Args:
        deadline: The time limit of all that it does, by `time.monotonic`.
    """

    _sock: _socket.socket

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def connect(self, host: str, port: int) -> None:
        """Connect to the first address of a host that answers.

        Args:
            host: A name or an address.
            port: The TCP port.

        Raises:
            OSError: If no address answered in time. (The resolver has its own time limit.)
        """
        name = host.encode("ascii" if host.isascii() else "idna")
        addresses = _socket.getaddrinfo(name, port, 0, _socket.SOCK_STREAM)
        error: OSError = TimeoutError()
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            left = self._deadline - time.monotonic()
            if left <= 0:
                break
            # Known before it connects: a process may fork meanwhile, and the child closes it.
            self._sock = _socket.socket(family, kind, protocol)
            # An address that never answers must leave time for the others.
            self._sock.settimeout(left / (len(addresses) - tried))
            try:
                self._sock.connect(address)
            except OSError as failed:
                self._sock.close()
                error = failed
            else:
                return
        raise error

    def _limit(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)

    def sendall(self, data: bytes | memoryview) -> None:
        """Send all the data."""
        self._limit()
        self._sock.sendall(data)

    def recv(self, size: int) -> bytes:
        """Return up to `size` received bytes, or nothing at the end."""
        self._limit()
        return self._sock.recv(size)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002  http.client passes "rb"
        """Return the incoming data as a file."""
        return io.BufferedReader(_Incoming(self.recv))

    def close(self) -> None:
        """Close the connection, if there is one."""
        if hasattr(self, "_sock"):
            self._sock.close()


class Secure(Plain):
    """TLS over another connection."""

    def __init__(self, plain: Plain, context: ssl.SSLContext, host: str) -> None:
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._do(self._tls.do_handshake)

    def _do(self, operation: Callable[..., Any], *arguments: Any) -> Any:
        while True:
            try:
                result = operation(*arguments)
            except ssl.SSLWantReadError:  # noqa: PERF203  TLS signals waiting by raising
                self._send_outgoing()
                received = self._plain.recv(_CHUNK_BYTES)
                if received:
                    self._incoming.write(received)
                else:
                    self._incoming.write_eof()
            else:
                self._send_outgoing()
                return result

    def _send_outgoing(self) -> None:
        if self._outgoing.pending:
            self._plain.sendall(self._outgoing.read())

    def sendall(self, data: bytes | memoryview) -> None:
        """Send all the data."""
        view = memoryview(data)
        while view:
            view = view[self._do(self._tls.write, view) :]

    def recv(self, size: int) -> bytes:
        """Return up to `size` received bytes, or nothing at the end."""
        try:
            received: bytes = self._do(self._tls.read, size)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        return received

    def close(self) -> None:
        """Close the connection."""
        self._plain.close()


class _Incoming(io.RawIOBase):
    def __init__(self, recv: Callable[[int], bytes]) -> None:
        self._recv = recv

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        received = self._recv(len(buffer))
        buffer[: len(received)] = received
        return len(received)
