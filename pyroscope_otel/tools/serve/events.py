"""Notifies open pages of changes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ("Changes",)


class Changes:
    """Lets coroutines wait for the next change. Belongs to the event loop that creates it."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._closed = False

    def note(self) -> None:
        """Notify the followers of a change."""
        self._changed.set()
        self._changed = asyncio.Event()  # waiting followers hold the old one

    def close(self) -> None:
        """End all followers."""
        self._closed = True
        self.note()

    async def follow(self, *, pause: float, heartbeat: float) -> AsyncIterator[bool]:
        """Yield True after a change, at most once per `pause`, and False as a heartbeat.

        Args:
            pause: The minimum number of seconds between two changes.
            heartbeat: The number of seconds without a change after which False is yielded.
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
