"""Passes notes from the processes below `pyroscope-otel run` to it, as files in a folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ("FOLDER_VARIABLE", "note", "say")

FOLDER_VARIABLE = "PYROSCOPE_OTEL_RUN"
"""The folder. The variable also tells a process that it runs below `pyroscope-otel run`."""


def note(name: str) -> bool:
    """Leave a note.

    Args:
        name: The note, which must be a valid file name.

    Returns:
        Whether it is the first note with this name in this run.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return False
    try:
        Path(folder, name).touch(exist_ok=False)
    except OSError:  # the note exists, or the run is over
        return False
    return True


def say(text: str) -> None:
    """Print a line to standard error."""
    if sys.stderr is not None:
        print(f"pyroscope-otel: {text}", file=sys.stderr)  # noqa: T201  as the command does
