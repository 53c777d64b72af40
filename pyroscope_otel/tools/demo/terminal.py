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

    def progress(self, text: str) -> None:
        """Show what is going on, in the place of what was shown before. Only on a terminal."""
        if self._in_place:
            self._write(text)
            self._unfinished = True

    def clear(self) -> None:
        """Take away what `progress` has shown."""
        self._write("")

    def _write(self, text: str) -> None:
        clear, self._unfinished = self._unfinished, False
        sys.stdout.write((_CLEAR_LINE if clear else "") + text)
        sys.stdout.flush()
