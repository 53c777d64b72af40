"""The pushes that wait to be sent: bounded by their bytes and their age."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyroscope_otel.relay import unpatched

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("Buffer", "Push")

MAX_AGE_SECONDS = 3600.0
"""How long a push is kept: a Pyroscope server refuses older profiles."""


@dataclass(eq=False, slots=True)
class Push:
    """One push on its way.

    Attributes:
        body: Its body.
        headers: What is said about the body.
        received: When it came, by `time.monotonic`.
        attempts: How often it was tried in vain.
    """

    body: bytes
    headers: Mapping[str, str]
    received: float = field(default_factory=time.monotonic)
    attempts: int = 0


class Buffer:
    """What the receiving thread puts in and the sending thread takes out.

    Args:
        max_bytes: How many bytes it holds. The oldest pushes give way to new ones.

    Attributes:
        dropped: How many pushes were given up.
    """

    def __init__(self, max_bytes: int) -> None:
        self.dropped = 0
        self.max_bytes = max_bytes
        self._pushes: list[Push] = []
        self._lock = unpatched.allocate_lock()

    def put(self, push: Push) -> None:
        """Add a push."""
        with self._lock:
            self._pushes.append(push)
            bytes_over = sum(len(push.body) for push in self._pushes) - self.max_bytes
            while bytes_over > 0:
                bytes_over -= len(self._pushes.pop(0).body)
                self.dropped += 1

    def next(self) -> Push | None:
        """Return the push to try next. It stays until it is removed.

        It is the oldest of those that were tried least: one that a server fails on must
        not keep the others from it.
        """
        with self._lock:
            too_old = time.monotonic() - MAX_AGE_SECONDS
            young = [push for push in self._pushes if push.received >= too_old]
            self.dropped += len(self._pushes) - len(young)
            self._pushes = young
            return min(young, key=lambda push: push.attempts, default=None)

    def remove(self, push: Push, *, dropped: bool = False) -> None:
        """Remove a push that was sent or, if `dropped`, given up."""
        with self._lock:
            # It may have given way to others meanwhile, and counts as dropped already.
            if push in self._pushes:
                self._pushes.remove(push)
                self.dropped += dropped
            elif not dropped:
                self.dropped -= 1

    def waiting(self) -> tuple[int, int]:
        """Return how many pushes wait, and their bytes. It takes no lock."""
        pushes = self._pushes.copy()
        return len(pushes), sum(len(push.body) for push in pushes)
