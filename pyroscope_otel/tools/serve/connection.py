"""A connection with limits on how long it waits for the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

__all__ = ("Connection",)

_SECONDS = 10.0
_READING_SECONDS = 30.0  # the time that a client has to read its response


class Connection(H11Protocol):
    """uvicorn's connection, closed if the client is slow to send headers or to read the response.

    uvicorn only limits the time between two requests. A client that connects and sends nothing,
    or a byte now and then, would keep its connection for ever. `Bodies` limits the time for a
    body. The class is based on h11, as httptools is faster but accepts headers of any size.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._due: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first request's headers."""
        super().connection_made(transport)
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        """Process the data, and update the deadline."""
        super().data_received(data)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadlines."""
        self._cancel_deadline()
        self._cancel_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start to wait for the client to read. The response is in memory meanwhile."""
        super().pause_writing()
        # Abort, as close would keep waiting.
        self._unread = self.loop.call_later(_READING_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop waiting for the client to read."""
        self._cancel_unread()
        super().resume_writing()

    def _set_deadline(self) -> None:
        if not self._awaits_headers():
            self._cancel_deadline()
        elif self._due is None:
            self._due = self.loop.call_later(_SECONDS, self._too_slow)

    def _awaits_headers(self) -> bool:
        # Also true while the rest of a refused body is skipped.
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's annotation lacks the None
        return cycle is None or cycle.response_complete

    def _cancel_deadline(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _cancel_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _too_slow(self) -> None:
        self._due = None
        if self._awaits_headers():
            self.transport.close()
