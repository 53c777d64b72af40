"""A finding: what is the case, how much it matters, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How much a finding matters."""

    FINE = "fine"
    """What was checked holds."""
    NOTE = "note"
    """Worth knowing, or could not be told. Not a failure."""
    PROBLEM = "problem"
    """The link from a trace to its profile breaks here."""


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        code: Its name for machines. It stays what it is from release to release.
        level: How much it matters.
        summary: What is the case, in a sentence.
        remedy: What to do about it; empty where nothing is to be done.
        detail: What the finding rests on, such as a server's own words.
    """

    code: str
    level: Level
    summary: str
    remedy: str = ""
    detail: str = ""

    @property
    def line(self) -> str:
        """The finding in one line of a log."""
        return f"{self.summary} {self.remedy}".strip()


def fine(code: str, summary: str, detail: str = "") -> Finding:
    """Return the finding that something holds."""
    return Finding(code, Level.FINE, summary, detail=detail)


def note(code: str, summary: str, remedy: str = "", detail: str = "") -> Finding:
    """Return a finding that is no failure."""
    return Finding(code, Level.NOTE, summary, remedy, detail)


def problem(code: str, summary: str, remedy: str, detail: str = "") -> Finding:
    """Return the finding that something is wrong. It always has a remedy."""
    return Finding(code, Level.PROBLEM, summary, remedy, detail)
