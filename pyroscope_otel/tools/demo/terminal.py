"""Prints the demo's output: lines and, on a terminal, a progress line."""

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
        """Show the current step in place of the previous one. Does nothing without a terminal."""
        if self._in_place:
            self._write(text)
            self._unfinished = True

    def clear(self) -> None:
        """Remove the progress line."""
        self._write("")

    def _write(self, text: str) -> None:
        clear, self._unfinished = self._unfinished, False
        sys.stdout.write((_CLEAR_LINE if clear else "") + text)
        sys.stdout.flush()
