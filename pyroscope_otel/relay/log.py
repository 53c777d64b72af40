"""Writes the relay's log lines on a separate thread.

A log handler of the application may block, on a full pipe or on a lock that a greenlet holds.
Then our log line is late, but the profiles are not.
"""

from __future__ import annotations

import collections
import logging
import sys
import time
from typing import TYPE_CHECKING

from pyroscope_otel.link import failure
from pyroscope_otel.relay import unpatched

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("report", "reset_in_child", "wait_until_logged", "write")

logger = logging.getLogger("pyroscope_otel")

_MAX_WAITING = 100

_waiting: collections.deque[Callable[[], object]] = collections.deque(maxlen=_MAX_WAITING)
_lock = unpatched.allocate_lock()
"""Held by the thread that writes."""


def write(level: int, message: str, *arguments: object) -> None:
    """Log a line soon."""
    _put(lambda: logger.log(level, message, *arguments))


def report(where: str) -> None:
    """Report the exception being handled soon, like `failure.report`.

    Args:
        where: What the code was doing, as a verb phrase for the log.

    Raises:
        Exception: The exception being handled, if `failure.reraise` is set.
    """
    if failure.reraise:
        raise  # noqa: PLE0704  the caller's except block holds the exception
    error = sys.exc_info()[1]

    def raise_again() -> None:
        try:
            if error is not None:
                raise error  # noqa: TRY301  `failure.report` needs a handled exception
        except Exception:
            failure.report(where)

    _put(raise_again)


def _put(line: Callable[[], object]) -> None:
    _waiting.append(line)
    # Positional: in Python 3.10, locks of `_thread` take no keyword.
    if _lock.acquire(False):  # noqa: FBT003
        try:
            unpatched.start_thread(_write_lines, ())
        except RuntimeError:
            # At interpreter exit no thread can start, and nothing reads the log.
            _lock.release()


def _write_lines() -> None:
    while True:
        try:
            while _waiting:
                _waiting.popleft()()
        except Exception:  # noqa: S110  a failing handler cannot be reported
            pass
        finally:
            _lock.release()
        # Another thread may have added a line before the lock was released.
        if not _waiting or not _lock.acquire(False):  # noqa: FBT003  by position, as above
            return


def reset_in_child() -> None:
    """Reset in a forked child, where the thread that held the lock does not exist."""
    global _lock  # noqa: PLW0603
    _lock = unpatched.allocate_lock()
    _waiting.clear()


def wait_until_logged(timeout: float) -> bool:
    """Wait until all lines are written. Return whether that happened in time."""
    end = time.monotonic() + timeout
    while _waiting or _lock.locked():
        if time.monotonic() > end:
            return False
        unpatched.sleep(0.005)
    return True
