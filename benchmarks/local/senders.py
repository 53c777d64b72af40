"""Sends exports at a fixed rate, and pushes like an agent, from separate processes."""

from __future__ import annotations

import asyncio
import http.client
import os
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.local.payloads import Exports, push
from pyroscope_otel.tools.serve.receiving import PUSH_PATH

_TYPE = "application/x-protobuf"
_FILL_AT_ONCE = 100


@dataclass
class Sent:
    """The results of a sender."""

    acknowledged: list[str] = field(default_factory=list)
    """The profile ids in requests with a 200 response."""
    refused: int = 0
    seconds: list[float] = field(default_factory=list)
    """The time until each response."""


def send_exports(url: str, rate: float, seconds: float, connections: int) -> Sent:
    """Send exports at a fixed rate, on several keep-alive connections."""
    return asyncio.run(_send_exports(url, rate, seconds, connections))


async def _send_exports(url: str, rate: float, seconds: float, connections: int) -> Sent:
    sent = Sent()
    make = Exports()
    begun = time.perf_counter()
    turns = iter(range(round(rate * seconds)))

    async def connection() -> None:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for turn in turns:  # shared: each turn goes to one connection
            # Keep the rate: a late connection does not wait.
            await asyncio.sleep(begun + turn / rate - time.perf_counter())
            body, profile_id = make()
            head = (
                f"POST /v1/traces HTTP/1.1\r\nHost: {parts.netloc}\r\n"
                f"Content-Type: {_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            start = time.perf_counter()
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = answer.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            await reader.readexactly(int(length))
            sent.seconds.append(time.perf_counter() - start)
            if answer.startswith(b"HTTP/1.1 200 "):
                sent.acknowledged.append(profile_id)
            else:
                sent.refused += 1
        writer.close()

    await asyncio.gather(*[connection() for _ in range(connections)])
    return sent


def fill(url: str, requests: int) -> None:
    """Send requests and their samples, many at a time."""
    make = Exports()
    for sent in range(0, requests, _FILL_AT_ONCE):
        made = [make() for _ in range(min(_FILL_AT_ONCE, requests - sent))]
        # Concatenated messages of protobuf are one message with the fields of all.
        _post(url, "/v1/traces", b"".join(body for body, _ in made))
        _post(url, PUSH_PATH, push([profile_id for _, profile_id in made], "shop"))


def _post(url: str, path: str, body: bytes) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    connection.request("POST", path, body, {"Content-Type": _TYPE})
    status = connection.getresponse().status
    connection.close()
    return status


def send_pushes(url: str, number: int, seconds: float, interval: float, samples: int) -> Sent:
    """Push at an interval. Each push has this many requests."""
    sent = Sent()
    until = time.monotonic() + seconds
    time.sleep(interval * number / 50)  # spread the starts of the processes
    while time.monotonic() < until:
        profile_ids = [os.urandom(8).hex() for _ in range(samples)]
        body = push(profile_ids, f"worker-{number % 5}")
        start = time.perf_counter()
        status = _post(url, PUSH_PATH, body)
        sent.seconds.append(time.perf_counter() - start)
        if status == http.HTTPStatus.OK:
            sent.acknowledged += profile_ids
        else:
            sent.refused += 1
        # The last push comes at the end, to be acknowledged just before the kill.
        pause = min(interval - (time.perf_counter() - start), until - time.monotonic())
        time.sleep(max(0.0, pause))
    return sent
