"""Treats the signals that end a program like Ctrl-C."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("signals_as_interrupt",)


@contextmanager
def signals_as_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM and SIGHUP too, so that open resources are closed.

    Signals that are ignored (nohup), or already have a handler, are left alone.
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
