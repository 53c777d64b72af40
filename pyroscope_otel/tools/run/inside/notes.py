"""What a process below `pyroscope-otel run` lets the command know: files in a folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ("FOLDER_VARIABLE", "note", "say")

FOLDER_VARIABLE = "PYROSCOPE_OTEL_RUN"
"""The folder. It is also how a process knows that it is below such a command."""


def note(name: str) -> bool:
    """Leave a note.

    Args:
        name: The note, in letters that a file may have in its name.

    Returns:
        Whether it is the first of its name in this run.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return False
    try:
        Path(folder, name).touch(exist_ok=False)
    except OSError:  # there already; or the run is over, and nobody wants to know
        return False
    return True


def say(text: str) -> None:
    """Print a line of ours on standard error."""
    if sys.stderr is not None:
        print(f"pyroscope-otel: {text}", file=sys.stderr)  # noqa: T201  as the command does
