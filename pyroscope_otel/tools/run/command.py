"""The command as a child: it has the terminal, gets the signals, and says how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pyroscope_otel.tools.run.errors import NoSuchCommand, RunFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ("Command",)

_FROM_KEYBOARD = ("SIGINT", "SIGQUIT")
# Of these, servers take the last four for a reload, and for more or fewer workers.
_HANDED_ON = (*_FROM_KEYBOARD, "SIGTERM", "SIGHUP", "SIGUSR2", "SIGTTIN", "SIGTTOU")
_ENDS = ("SIGINT", "SIGQUIT", "SIGTERM")


class Command:
    """A command.

    Args:
        words: The command and its arguments.
        environment: Its environment.

    Attributes:
        was_asked_to_end: Whether it got a signal that ends a program.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        self.was_asked_to_end = False
        self._words = words
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, on_request: Callable[[], object]) -> int:
        """Run it to its end, and hand signals on meanwhile.

        Args:
            on_request: Called at SIGUSR1.

        Returns:
            The exit status as a shell has it: that of a signal is 128 and its number.

        Raises:
            NoSuchCommand: There is none.
            RunFailed: It cannot be run.
        """
        handlers: dict[str, Any] = dict.fromkeys(_HANDED_ON, self._hand_on)
        if _has_the_terminal():
            # Ctrl-C reaches the command as well, and a second one would end it at once.
            handlers |= dict.fromkeys(_FROM_KEYBOARD, self._note)
            del handlers["SIGTTIN"], handlers["SIGTTOU"]  # those of a terminal's background
        handlers["SIGUSR1"] = lambda *_: on_request()
        handlers["SIGCHLD"] = lambda *_: None
        with _handled(handlers) as signals:
            try:
                self._process = subprocess.Popen(self._words, env=self._environment)  # noqa: S603 -- the user's own
            except FileNotFoundError as error:
                raise NoSuchCommand(f"there is no command {self._words[0]}") from error
            except OSError as error:
                raise RunFailed(
                    f"{self._words[0]} cannot be run: {error.strerror or error}"
                ) from error
            try:
                status = _wait(self._process, signals)
            except BaseException:
                self._process.terminate()  # not left behind with nobody to look after it
                raise
        return status if status >= 0 else 128 - status

    def _note(self, number: int, _frame: object = None) -> None:
        self.was_asked_to_end |= signal.Signals(number).name in _ENDS
        if self._process is None:
            raise KeyboardInterrupt

    def _hand_on(self, number: int, _frame: object) -> None:
        self._note(number)
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


def _wait(process: subprocess.Popen[bytes], signals: int) -> int:
    """Wait for the end of a process, among signals, each of which writes to a descriptor.

    `process.wait` would do, but for a signal that comes just before it begins to wait:
    its handler would run when the process has ended.
    """
    while (status := process.poll()) is None:
        os.read(signals, 1)
    return status


@contextmanager
def _handled(handlers: Mapping[str, Any]) -> Iterator[int]:
    """Handle signals while the `with` block runs; what is ignored (nohup) stays so.

    Yields:
        A descriptor from which a byte can be read for each signal.
    """
    before: dict[signal.Signals, Any] = {}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for name, handler in handlers.items():
        number = signal.Signals[name]
        if number == signal.SIGCHLD or signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handler)
    try:
        yield reading
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(reading)
        os.close(writing)


def _has_the_terminal() -> bool:
    """Return whether what is typed reaches this process, and what it starts."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False
