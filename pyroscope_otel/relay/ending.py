"""Limits how long all shutdown steps of a process take together.

They run one after the other: the server ends the lifespan, then its worker runs the exit
handlers of the agent, the relay and the tracer provider. If each waited its full time for a
server that does not answer, a stop would take the sum.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: Final = 5.0


class Ending:
    """The time left for shutdown steps. Steps that overlap share it.

    No lock: a signal handler may run a step on a thread that is already in one. Two steps that
    begin or finish at the same instant may get slightly more or less time.
    """

    def __init__(self) -> None:
        self._left = SECONDS
        self._began = 0.0
        self._under_way: set[object] = set()

    def renew(self) -> None:
        """Restore the full time: an agent has started, so the process did not end."""
        self._left = SECONDS

    @contextmanager
    def step(self, timeout: float | None = None) -> Iterator[float]:
        """Enter a shutdown step.

        Args:
            timeout: Seconds that the step may take. None means the time that is left for all
                steps.

        Returns:
            The deadline, by `time.monotonic`.
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
    """Return the seconds until a time of `time.monotonic`, or 0 if it has passed."""
    return max(0.0, deadline - time.monotonic())
