"""The signals that ask a program to end, taken for Ctrl-C."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("signals_as_interrupt",)


@contextmanager
def signals_as_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM and SIGHUP too, so that what is open gets closed.

    Those that are ignored (nohup), or that somebody else handles, are left alone.
    """

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    # Windows has no SIGHUP.
    numbers = (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP"))
    ours = [
        number
        for number in numbers
        if number is not None and signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
