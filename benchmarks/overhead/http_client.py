"""The client of `http`: a process with a fixed number of keep-alive connections.

It reports the number of failed requests, the duration of each other request, and the total
duration.
"""

from __future__ import annotations

import asyncio
import sys
from time import perf_counter
from typing import TYPE_CHECKING

import uvloop

from benchmarks.overhead.child import report, setting_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT_SECONDS = 30.0
_FAILURES = (OSError, EOFError, ValueError, asyncio.TimeoutError)


class Client:
    """Sends requests over several connections, one at a time on each.

    Args:
        setting: `port`, `path`, `connections`, and the number of `requests`.
    """

    def __init__(self, setting: Mapping[str, object]) -> None:
        self._port = setting["port"]
        self._connections = setting["connections"]
        self._request = (
            f"GET {setting['path']} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n"
        ).encode()
        self._left = 0
        self.failures: list[str] = []
        self.latencies: list[float] = []

    async def send(self, requests: int) -> float:
        """Send this many requests, and return the seconds that it took."""
        self._left = requests
        begin = perf_counter()
        await asyncio.gather(*(self._use_connection() for _ in range(self._connections)))
        return perf_counter() - begin

    def _take_one(self) -> bool:
        self._left -= 1
        return self._left >= 0

    async def _use_connection(self) -> None:
        writer = None
        while self._take_one():
            begin = perf_counter()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(self._request)
                stays_open = await asyncio.wait_for(_read_response(reader), _TIMEOUT_SECONDS)
            except _FAILURES as error:
                self.failures.append(repr(error))
                stays_open = False
            else:
                self.latencies.append(perf_counter() - begin)
            if not stays_open and writer is not None:
                writer.close()
                writer = None
        if writer is not None:
            writer.close()


async def _read_response(reader: asyncio.StreamReader) -> bool:
    """Read a response, and return whether the connection stays open.

    Raises:
        ValueError: The status is not 200.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status, *headers = head.split(b"\r\n")
    fields = dict(header.split(b": ", 1) for header in headers if header)
    body = await reader.readexactly(int(fields[b"content-length"]))
    if status.split(b" ")[1] != b"200":
        raise ValueError(f"{status!r} {body[:200]!r}")
    return fields.get(b"connection") != b"close"


async def _main() -> dict[str, object]:
    setting = setting_of(sys.argv)
    warm_up = Client(setting)
    await warm_up.send(setting["warm_up"])
    client = Client(setting)
    requests, seconds = 0, 0.0
    while seconds < setting["seconds"] or requests == 0:
        # Send a number of requests, or for a duration.
        seconds += await client.send(setting["requests"])
        requests += setting["requests"]
    return {
        "requests": requests,
        "failures": len(client.failures) + len(warm_up.failures),
        "examples": (warm_up.failures + client.failures)[:3],
        "seconds": seconds,
        "latencies": client.latencies,
    }


if __name__ == "__main__":
    report(uvloop.run(_main()))
