"""A finding: what was observed, how much it matters, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How much a finding matters."""

    FINE = "fine"
    """The check passed."""
    NOTE = "note"
    """Worth knowing, or impossible to determine. Not a failure."""
    PROBLEM = "problem"
    """The link from a trace to its profile breaks here."""


@dataclass(frozen=True)
class Finding:
    """One result of a check.

    Attributes:
        code: A machine-readable name, stable across releases.
        level: How much the finding matters.
        summary: The observation, in one sentence.
        remedy: What to do about it. Empty if there is nothing to do.
        detail: The evidence, such as the server's response.
    """

    code: str
    level: Level
    summary: str
    remedy: str = ""
    detail: str = ""

    @property
    def line(self) -> str:
        """The finding as one log line."""
        return f"{self.summary} {self.remedy}".strip()


def fine(code: str, summary: str, detail: str = "") -> Finding:
    """Return a finding that a check passed."""
    return Finding(code, Level.FINE, summary, detail=detail)


def note(code: str, summary: str, remedy: str = "", detail: str = "") -> Finding:
    """Return a finding that is not a failure."""
    return Finding(code, Level.NOTE, summary, remedy, detail)


def problem(code: str, summary: str, remedy: str, detail: str = "") -> Finding:
    """Return a finding that something is wrong. It always has a remedy."""
    return Finding(code, Level.PROBLEM, summary, remedy, detail)
