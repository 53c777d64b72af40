"""Buffers the pushes that wait to be sent, limited by size and age."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyroscope_otel.relay import unpatched

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("Buffer", "Push")

MAX_AGE_SECONDS = 3600.0
"""How long a push is kept. Pyroscope servers refuse older profiles."""


@dataclass(eq=False, slots=True)
class Push:
    """A push that waits to be sent.

    Attributes:
        body: Its body.
        headers: The headers that describe the body.
        received: When it was received, by `time.monotonic`.
        attempts: The number of failed attempts.
    """

    body: bytes
    headers: Mapping[str, str]
    received: float = field(default_factory=time.monotonic)
    attempts: int = 0


class Buffer:
    """The pushes that the receiving thread adds and the sending thread removes.

    Args:
        max_bytes: The maximum size. New pushes displace the oldest ones.

    Attributes:
        dropped: The number of discarded pushes.
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
        """Return the push to try next. It stays in the buffer until it is removed.

        It is the oldest of the pushes with the fewest attempts, so that a push that makes the
        server fail does not block the others.
        """
        with self._lock:
            too_old = time.monotonic() - MAX_AGE_SECONDS
            young = [push for push in self._pushes if push.received >= too_old]
            self.dropped += len(self._pushes) - len(young)
            self._pushes = young
            return min(young, key=lambda push: push.attempts, default=None)

    def remove(self, push: Push, *, dropped: bool = False) -> None:
        """Remove a push that was sent or, if `dropped`, discarded."""
        with self._lock:
            # A newer push may have displaced it meanwhile. It is then already counted as
            # dropped.
            if push in self._pushes:
                self._pushes.remove(push)
                self.dropped += dropped
            elif not dropped:
                self.dropped -= 1

    def waiting(self) -> tuple[int, int]:
        """Return the number of waiting pushes and their size in bytes. Takes no lock."""
        pushes = self._pushes.copy()
        return len(pushes), sum(len(push.body) for push in pushes)
