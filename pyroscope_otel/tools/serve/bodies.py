"""Reads request bodies within limits on size, total memory and time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from pyroscope_otel.tools.serve.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

__all__ = ("Bodies",)


class Bodies:
    """Reads bodies within limits that all requests share.

    Args:
        max_bytes: The maximum size of a body, as sent.
        max_total_bytes: The maximum total size of bodies in memory. Further requests wait.
        seconds: The time that a client has to send its body, including this wait.
    """

    def __init__(self, *, max_bytes: int, max_total_bytes: int, seconds: float) -> None:
        self._max_bytes = max_bytes
        self._room = max_total_bytes
        self._seconds = seconds
        self._waiting: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Read the body, which counts as in memory until the block ends.

        Raises:
            Refused: With 400, 408, 413 or 503.
        """
        size = self._announced(request)
        deadline = anyio.current_time() + self._seconds
        await self._reserve(size, deadline)
        try:
            yield await self._read(request, deadline)
        finally:
            self._release(size)

    def _announced(self, request: Request) -> int:
        """Return the maximum size that the body can have."""
        announced = request.headers.get("content-length")
        if announced is None:
            return self._max_bytes
        # Compare the number of digits first: int() refuses thousands of digits.
        digits = announced.lstrip("0") or "0"
        if not (digits.isascii() and digits.isdigit()):
            raise Refused(400, "Content-Length must be a number")
        if len(digits) > len(str(self._max_bytes)) or int(digits) > self._max_bytes:
            raise self._too_large()
        return int(digits)

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is larger than {self._max_bytes} bytes")

    async def _read(self, request: Request, deadline: float) -> bytes:
        body = bytearray()
        with anyio.CancelScope(deadline=deadline):
            async for chunk in request.stream():
                body += chunk
                if len(body) > self._max_bytes:
                    raise self._too_large()
            return bytes(body)
        raise Refused(408, "the body arrived too slowly")

    async def _reserve(self, size: int, deadline: float) -> None:
        while self._room < size:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            with anyio.CancelScope(deadline=deadline):
                await turn
            if not turn.done() or turn.cancelled():
                raise Refused(503, "the server is busy: try again later")
        self._room -= size

    def _release(self, size: int) -> None:
        self._room += size
        waiting, self._waiting = self._waiting, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)
