"""What the demo prints: lines, and on a terminal a last line that changes."""

from __future__ import annotations

import sys

__all__ = ("Terminal",)

_CLEAR_LINE = "\r\x1b[K"


class Terminal:
    """Standard output."""

    def __init__(self) -> None:
        self._in_place = sys.stdout.isatty()
        self._unfinished = False

    def say(self, text: str = "") -> None:
        """Print lines."""
        self._write(text + "\n")

    def progress(self, text: str, *, last: bool = False) -> None:
        """Show how far it is: in the same place on a terminal, elsewhere as a line.

        Args:
            text: What to show.
            last: Whether this stays. Elsewhere than on a terminal, only this is shown.
        """
        if last:
            self.say(text)
        elif self._in_place:
            self._write(text)
            self._unfinished = True

    def end_line(self) -> None:
        """Begin a new line, where something is in the last one."""
        if self._unfinished:
            self._write("")

    def _write(self, text: str) -> None:
        clear, self._unfinished = self._unfinished, False
        sys.stdout.write((_CLEAR_LINE if clear else "") + text)
        sys.stdout.flush()
