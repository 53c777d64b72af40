"""What the relay has to say, said on a thread of its own.

A handler of the application's may block, on a full pipe or on a lock that a greenlet
holds. Then a line of ours is late, and the profiles are not.
"""

from __future__ import annotations

import collections
import logging
import sys
import time
from typing import TYPE_CHECKING

from pyroscope_otel import failure
from pyroscope_otel.relay import unpatched

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("report", "reset_in_child", "say", "wait_until_said")

logger = logging.getLogger("pyroscope_otel")

_MOST_WAITING = 100

_waiting: collections.deque[Callable[[], object]] = collections.deque(maxlen=_MOST_WAITING)
_lock = unpatched.allocate_lock()
"""Held by the thread that speaks."""


def say(level: int, message: str, *arguments: object) -> None:
    """Log a line, soon."""
    _put(lambda: logger.log(level, message, *arguments))


def report(where: str) -> None:
    """Report the exception being handled, soon, as `failure.report` does.

    Args:
        where: What was being done, in words for the log.

    Raises:
        Exception: The exception being handled, if `failure.reraise` is set.
    """
    if failure.reraise:
        raise  # noqa: PLE0704  the caller's except block holds the exception
    error = sys.exc_info()[1]

    def say_it() -> None:
        try:
            if error is not None:
                raise error  # noqa: TRY301  `failure.report` wants it handled
        except Exception:
            failure.report(where)

    _put(say_it)


def _put(line: Callable[[], object]) -> None:
    _waiting.append(line)
    # By position: _thread's lock of Python 3.10 takes no keyword.
    if _lock.acquire(False):  # noqa: FBT003
        try:
            unpatched.start_thread(_speak, ())
        except RuntimeError:
            # At the interpreter's end no thread can be started, and nobody listens.
            _lock.release()


def _speak() -> None:
    while True:
        try:
            while _waiting:
                _waiting.popleft()()
        except Exception:  # noqa: S110  a handler that raises has nowhere to say so
            pass
        finally:
            _lock.release()
        # Somebody may have put a line while we were leaving.
        if not _waiting or not _lock.acquire(False):  # noqa: FBT003  by position, as above
            return


def reset_in_child() -> None:
    """Begin anew in a forked child: whoever held the lock is not there."""
    global _lock  # noqa: PLW0603
    _lock = unpatched.allocate_lock()
    _waiting.clear()


def wait_until_said(timeout: float) -> bool:
    """Wait until nothing is left to say; return whether it came to that in these seconds."""
    end = time.monotonic() + timeout
    while _waiting or _lock.locked():
        if time.monotonic() > end:
            return False
        unpatched.sleep(0.005)
    return True
