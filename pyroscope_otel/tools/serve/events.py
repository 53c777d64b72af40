"""Tells open pages that something has changed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ("Changes",)


class Changes:
    """Lets others wait for the next change. It belongs to the event loop it is made on."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._closed = False

    def note(self) -> None:
        """Note that something has changed."""
        self._changed.set()
        self._changed = asyncio.Event()  # those who wait hold the old one

    def close(self) -> None:
        """Let those who follow end."""
        self._closed = True
        self.note()

    async def follow(self, *, pause: float, heartbeat: float) -> AsyncIterator[bool]:
        """Yield True after a change, at most once a `pause`, and False when none came in time.

        Args:
            pause: Seconds from one change to the next.
            heartbeat: Seconds without a change after which False is yielded.
        """
        while not self._closed:
            changed = self._changed
            yield True
            await asyncio.sleep(pause)
            while not self._closed:
                try:
                    await asyncio.wait_for(changed.wait(), heartbeat)
                    break
                except asyncio.TimeoutError:
                    yield False
