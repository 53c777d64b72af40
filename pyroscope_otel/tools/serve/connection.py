"""A connection that does not wait for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

__all__ = ("Connection",)

_SECONDS = 10.0
_READING_SECONDS = 30.0  # for a client to read what it asked for


class Connection(H11Protocol):
    """uvicorn's connection, closed where a request's head or an answer's reader is too slow.

    uvicorn itself has a limit only between two requests; a client that connects
    and says nothing, or a byte now and then, would keep its place for ever. The
    time for a body is limited where bodies are read. It is h11's, not httptools',
    which is quicker but takes a head of any size.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._due: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._set_due()

    def data_received(self, data: bytes) -> None:
        """Take it in; what is awaited may be another thing now."""
        super().data_received(data)
        self._set_due()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._forget_due()
        self._forget_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to wait for the reader, whose answer is kept in memory meanwhile."""
        super().pause_writing()
        # Not close, which would go on waiting.
        self._unread = self.loop.call_later(_READING_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop waiting for the reader."""
        self._forget_unread()
        super().resume_writing()

    def _set_due(self) -> None:
        if not self._awaits_head():
            self._forget_due()
        elif self._due is None:
            self._due = self.loop.call_later(_SECONDS, self._too_slow)

    def _awaits_head(self) -> bool:
        # Also true while the rest of a body that was refused is passed over.
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn leaves the None out
        return cycle is None or cycle.response_complete

    def _forget_due(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _too_slow(self) -> None:
        self._due = None
        if self._awaits_head():
            self.transport.close()
