"""How long the ends of a process may take, all together.

They come one after the other: a server ends its lifespan, then its worker runs exit
handlers, the agent's, the relay's and the tracer provider's. Were each to wait for a server
that does not answer for as long as it may, a stop would take the sum.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: Final = 5.0


class Ending:
    """The seconds that are left for ends. Those that overlap use them up together.

    It takes no lock, as a signal's handler may end us on whatever thread is at it. Two ends
    that begin or finish in the same instant may have a moment more or less.
    """

    def __init__(self) -> None:
        self._left = SECONDS
        self._began = 0.0
        self._under_way: set[object] = set()

    def renew(self) -> None:
        """Let ends take the whole time again: an agent has started, so this was not the last."""
        self._left = SECONDS

    @contextmanager
    def one(self, timeout: float | None = None) -> Iterator[float]:
        """Enter an end.

        Args:
            timeout: Seconds that it may take; None for what is left of all ends' time.

        Returns:
            When it has to be over, by `time.monotonic`.
        """
        this, now = object(), time.monotonic()
        if not self._under_way:
            self._began = now
        self._under_way.add(this)
        try:
            yield self._began + self._left if timeout is None else now + timeout
        finally:
            self._under_way.discard(this)
            if not self._under_way:
                self._left = max(0.0, self._left - (time.monotonic() - self._began))


ENDING: Final = Ending()


def seconds_until(deadline: float) -> float:
    """Return how long it is until a moment of `time.monotonic`, 0 if it has passed."""
    return max(0.0, deadline - time.monotonic())
