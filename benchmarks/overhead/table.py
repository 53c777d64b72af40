"""Formats tables and the numbers in them."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, with the first column left-aligned and the others right-aligned."""
    lines = [list(heads), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(
        1, [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    )
    return "\n".join(_row(line, widths) for line in lines)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if number == 0 else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "| " + " | ".join([first, *others]) + " |"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the smallest and the largest value."""
    return f"{min(values):.{digits}f}..{max(values):.{digits}f}"


def added(base: Sequence[float], values: Sequence[float]) -> tuple[str, str, str]:
    """Return how much `values` add to `base`: for the medians, per round, and for the minima.

    The two values of a round were measured in immediate succession, so the spread of their
    difference shows the noise of the method. The minima are from when the machine was idle.
    """
    difference = median(values) - median(base)
    per_round = [value - zero for zero, value in zip(base, values, strict=True)]
    least = min(values) - min(base)
    return f"{difference:+.2f}", spread(per_round), f"{least:+.2f}"
