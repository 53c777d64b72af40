"""Sends requests from several clients, each of which keeps its connection alive.

With several server processes, each request has its own connection, as the process that accepts
a connection serves all its requests.
"""

from __future__ import annotations

import contextlib
import http.client
import queue
import threading
import time
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import connect

if TYPE_CHECKING:
    from benchmarks.attribution.cases import Case

_REQUEST_SECONDS = 60.0
_LOAD_SECONDS = 180.0


class LoadError(Exception):
    """A request did not get the expected response."""


def send(case: Case, port: int, requests: int) -> None:
    """Send requests numbered from 0, and wait for the responses.

    Raises:
        LoadError: A request got no 200 response in time.
    """
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(requests):
        numbers.put(number)
    errors: list[Exception] = []
    client = _websocket_client if case.is_websocket else _http_client

    def serve_one_client() -> None:
        try:
            client(case, port, numbers)
        except Exception as error:  # raised below
            errors.append(error)

    threads = [threading.Thread(target=serve_one_client, daemon=True) for _ in range(case.clients)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _LOAD_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if errors:
        raise LoadError(f"a request of {case.name} failed: {errors[0]!r}") from errors[0]
    if any(thread.is_alive() for thread in threads):
        raise LoadError(f"{case.name} was not served within {_LOAD_SECONDS:.0f} s")


def _next(numbers: queue.SimpleQueue[int]) -> int | None:
    try:
        return numbers.get_nowait()
    except queue.Empty:
        return None


def _http_client(case: Case, port: int, numbers: queue.SimpleQueue[int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_REQUEST_SECONDS)
    try:
        while (number := _next(numbers)) is not None:
            connection.request("GET", f"{case.path}/{number}")
            response = connection.getresponse()
            body = response.read()
            if response.status != http.HTTPStatus.OK:
                raise LoadError(f"{response.status}: {body[:200]!r}")
            if case.workers > 1:
                connection.close()  # The next request opens a new one.
    finally:
        connection.close()


def _websocket_client(case: Case, port: int, numbers: queue.SimpleQueue[int]) -> None:
    while (number := _next(numbers)) is not None:
        url = f"ws://127.0.0.1:{port}{case.path}/{number}"
        with (
            connect(url, open_timeout=_REQUEST_SECONDS, proxy=None) as socket,
            contextlib.suppress(ConnectionClosedOK),  # The server ends the session.
        ):
            while True:
                socket.send("next")
                socket.recv(timeout=_REQUEST_SECONDS)
