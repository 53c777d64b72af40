"""Sends requests until it is stopped."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLIENTS = 2
_PAUSE_SECONDS = 0.2
_REQUEST_SECONDS = 60.0


class Load:
    """Sends requests until it is stopped.

    Attributes:
        sent: The number of requests, which are numbered from 0.
        took: The time when each request was sent, and its duration in seconds.
        failures: The errors of the requests without a response.
    """

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._path = path
        self._numbers = itertools.count()
        self._is_over = threading.Event()
        self.sent = 0
        self.took: list[tuple[float, float]] = []
        self.failures: list[str] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[Load]:
        """Send requests while the `with` block runs, then wait for the last ones."""
        threads = [threading.Thread(target=self._be_client, daemon=True) for _ in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join(_REQUEST_SECONDS)
            self.sent = next(self._numbers)

    def _be_client(self) -> None:
        while not self._is_over.wait(_PAUSE_SECONDS):
            number = next(self._numbers)
            begin = time.monotonic()
            connection = http.client.HTTPConnection(
                "127.0.0.1", self._port, timeout=_REQUEST_SECONDS
            )
            try:
                with contextlib.closing(connection):
                    connection.request("GET", f"{self._path}/{number}")
                    response = connection.getresponse()
                    response.read()
                if response.status != http.HTTPStatus.OK:
                    self.failures.append(f"{response.status}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
            self.took.append((begin, time.monotonic() - begin))
