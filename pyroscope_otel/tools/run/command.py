"""Runs the command as a child process that has the terminal and gets the signals."""

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
# Servers reload on the last four signals, or change the number of workers.
_HANDED_ON = (*_FROM_KEYBOARD, "SIGTERM", "SIGHUP", "SIGUSR2", "SIGTTIN", "SIGTTOU")
_ENDS = ("SIGINT", "SIGQUIT", "SIGTERM")


class Command:
    """A command.

    Args:
        words: The command and its arguments.
        environment: The environment of the command.

    Attributes:
        was_asked_to_end: Whether the command got a signal that ends a program.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        self.was_asked_to_end = False
        self._words = words
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, on_request: Callable[[], object]) -> int:
        """Run the command until it ends, and pass signals on to it.

        Args:
            on_request: Called on SIGUSR1.

        Returns:
            The exit status as in a shell: 128 plus the number of a signal that ended it.

        Raises:
            NoSuchCommand: There is no such command.
            RunFailed: The command cannot be run.
        """
        handlers: dict[str, Any] = dict.fromkeys(_HANDED_ON, self._hand_on)
        if _is_in_foreground():
            # The terminal sends Ctrl-C to the command too. Passed on as well, it would count as
            # a second Ctrl-C and end the command at once.
            handlers |= dict.fromkeys(_FROM_KEYBOARD, self._note)
            del handlers["SIGTTIN"], handlers["SIGTTOU"]  # the terminal uses them for jobs
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
                self._process.terminate()  # do not leave it running on its own
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
    """Wait until a process ends, and handle signals, which write to a descriptor, meanwhile.

    With `process.wait`, the handler of a signal that arrives just before the wait would run
    only after the process has ended.
    """
    while (status := process.poll()) is None:
        os.read(signals, 1)
    return status


@contextmanager
def _handled(handlers: Mapping[str, Any]) -> Iterator[int]:
    """Handle signals while the `with` block runs. Ignored ones (nohup) stay ignored.

    Yields:
        A descriptor with one byte to read for each signal.
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


def _is_in_foreground() -> bool:
    """Return whether this process and its children are in the terminal's foreground."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False
