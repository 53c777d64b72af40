"""Prints the results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attribution.bars import bar_for, holds
from benchmarks.attribution.run import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.attribution.measure import Attribution

_MEBIBYTE = 2**20


def percent(share: float | None) -> str:
    """Return a share in percent, or a dash for None."""
    return "-" if share is None else f"{100 * share:.1f}"


def table(results: Iterable[Attribution]) -> str:
    """Return a Markdown table with a row for each case and slice, and columns for each package.

    If there is a bar, it follows the figure: `96.1 ≥ 95`, or `93.8 < 95`.
    """
    rows: dict[tuple[str, float], dict[str, Attribution]] = {}
    for result in results:
        rows.setdefault((result.case, result.slice_ms), {})[result.package] = result
    used = [package for package in PACKAGES if any(package in row for row in rows.values())]
    lines = [["case", "slice ms"], [":--", "--:"]]
    for package in used:
        name = PACKAGES[package]
        lines[0] += [f"{name}: precision %", "recall %", "samples"]
        lines[1] += ["--:"] * 3
    for (case, slice_ms), row in rows.items():
        line = [case, f"{slice_ms:g}"]
        for package in used:
            result = row.get(package)
            line += ["", "", ""] if result is None else _cells(result)
        lines.append(line)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_row(line, widths) for line in lines)


def below_bars(results: Iterable[Attribution]) -> str:
    """Return the results below their bars, one per line."""
    return "\n".join(
        f"{result.case}, {result.slice_ms:g} ms, {PACKAGES[result.package]}: precision % "
        f"{precision}, recall % {recall}; {remarks(result)}"
        for result in results
        if not holds(result)
        for precision, recall, _ in [_cells(result)]
    )


def _cells(result: Attribution) -> list[str]:
    bar = bar_for(result.package, result.slice_ms, result.sampler)
    if bar is None:
        shares = [percent(result.precision), percent(result.recall)]
    else:
        shares = [
            _beside_bar(result.precision, bar.precision),
            _beside_bar(result.recall, bar.recall),
        ]
    return [*shares, amount(result)]


def amount(result: Attribution) -> str:
    """Return the total to attribute, in samples or in bytes."""
    if result.measures == "alloc_space":
        return f"{result.samples / _MEBIBYTE:.1f} MiB"
    return f"{result.samples}"


def _beside_bar(share: float | None, bar: float) -> str:
    sign = "≥" if (share or 0.0) >= bar else "<"
    return f"{percent(share)} {sign} {100 * bar:g}"


def _row(cells: list[str], widths: list[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return (
        " | ".join(
            ["| " + first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        )
        + " |"
    )


def remarks(result: Attribution) -> str:
    """Return remarks on a result: how samples were wrong, and other problems."""
    said = [
        f"{count} {verdict}" for verdict, count in result.verdicts.items() if verdict != "right"
    ]
    if result.double:
        said.append(f"{result.double} of {result.requests} requests have two profile ids")
    if result.without:
        said.append(f"{result.without} of {result.requests} requests have no profile id")
    if result.tracebacks:
        said.append(f"{result.tracebacks} tracebacks in the server's log")
    return "; ".join(said)
