"""Prints what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attribution.run import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.attribution.measure import Attribution


def percent(share: float | None) -> str:
    """Return a share in per cent, or a dash where there is nothing to divide by."""
    return "-" if share is None else f"{100 * share:.1f}"


def table(results: Iterable[Attribution]) -> str:
    """Return a Markdown table: a row for each case and slice, columns for each package."""
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
            line += (
                ["", "", ""]
                if result is None
                else [percent(result.precision), percent(result.recall), str(result.samples)]
            )
        lines.append(line)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_row(line, widths) for line in lines)


def _row(cells: list[str], widths: list[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return (
        " | ".join(
            ["| " + first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        )
        + " |"
    )


def remarks(result: Attribution) -> str:
    """Return what else there is to say of a result: where samples were wrong, and why."""
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
