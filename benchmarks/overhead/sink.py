"""A server for agents' pushes, which works or fails on request."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from types import TracebackType

Health = Literal["well", "unreachable", "error", "silent"]
HEALTHS: dict[Health, str] = {
    "well": "well",
    "unreachable": "unreachable (connection refused)",
    "error": "answers 500",
    "silent": "accepts, never answers",
}
_STATUS: dict[Health, bytes] = {"well": b"200 OK", "error": b"500 Internal Server Error"}
_CHUNK_BYTES = 1 << 16


class Sink:
    """Accepts and discards pushes while its `with` block runs.

    Unlike the receiver of `pyroscope_otel`, it decodes nothing, so as not to disturb the
    measurement.

    Args:
        health: How it answers a push.
    """

    def __init__(self, health: Health = "well") -> None:
        self._health = health
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.pushes = 0
        """The number of pushes that have begun."""

    def __enter__(self) -> Sink:  # noqa: PYI034 typing.Self begins with Python 3.11
        if self._health == "unreachable":
            self._listener.close()  # The port was just free, so nothing listens there.
        else:
            threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            # Wake the accepting thread, which closing alone does not do.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as stream:
            while line := stream.readline():
                if line.startswith(b"POST "):
                    self.pushes += 1
                self._read_request(stream)
                if self._health in _STATUS:
                    connection.sendall(
                        b"HTTP/1.1 " + _STATUS[self._health] + b"\r\nContent-Length: 0\r\n\r\n"
                    )

    def _read_request(self, stream: object) -> None:
        length = 0
        while (header := stream.readline().strip()) != b"":
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while length > 0:
            chunk = stream.read(min(length, _CHUNK_BYTES))
            if not chunk:
                return
            length -= len(chunk)
