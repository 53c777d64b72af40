"""Formats the findings for people and for machines."""

from __future__ import annotations

import json
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from pyroscope_otel.setup.findings.finding import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroscope_otel.tools.doctor.examination import Examination

_WIDTH = 88
_SIGNS = {Level.FINE: "ok", Level.NOTE: "note", Level.PROBLEM: "PROBLEM"}
_INDENT = " " * 9


def as_text(examination: Examination, mask: Callable[[str], str]) -> str:
    """Return the report for people: what was checked, then the findings, problems last.

    Args:
        examination: The result of the examination.
        mask: Removes secrets from a text.
    """
    lines = ["Versions", *_table(examination.versions.items())]
    if examination.settings:
        lines += ["", f"Settings of {examination.settings_of}, where they are not the default"]
        rows = [
            (name, f"{one['value']}  ({one['source']})")
            for name, one in examination.settings.items()
            if one["source"] != "default"
        ]
        lines += _table(rows) or ["  none"]
    if examination.agent:
        lines += ["", "Agent of the application, which pushed to the doctor"]
        lines += _table(examination.agent.items())
    lines += ["", "Findings"]
    order = list(_SIGNS)
    for finding in sorted(examination.findings, key=lambda one: order.index(one.level)):
        lines += _finding(_masked(finding, mask))
    lines += ["", _verdict(examination.findings)]
    return _printable(mask("\n".join(lines))) + "\n"


def as_json(examination: Examination, mask: Callable[[str], str]) -> str:
    """Return the report for machines. `docs/doctor.md` documents its format."""
    # Mask each text before it is encoded: JSON escapes a quote in a secret.
    report = {
        "ok": examination.is_well,
        "versions": examination.versions,
        "settings": {
            name: {key: mask(text) for key, text in one.items()}
            for name, one in examination.settings.items()
        },
        "agent": {name: mask(text) for name, text in examination.agent.items()},
        "findings": [
            {
                "code": finding.code,
                "level": finding.level.value,
                "summary": finding.summary,
                "remedy": finding.remedy,
                "detail": finding.detail,
            }
            for finding in (_masked(one, mask) for one in examination.findings)
        ],
    }
    return json.dumps(report, indent=2) + "\n"


def _printable(text: str) -> str:
    """Return a text without terminal control characters. A server's response may have some."""
    return "".join(one if one.isprintable() or one == "\n" else "?" for one in text)


def _masked(finding: Finding, mask: Callable[[str], str]) -> Finding:
    # Mask before wrapping, as a secret may contain spaces. The code is not masked.
    return replace(
        finding,
        summary=mask(finding.summary),
        remedy=mask(finding.remedy),
        detail=mask(finding.detail),
    )


def _table(rows: object) -> list[str]:
    pairs = [(str(name), str(value)) for name, value in rows]  # type: ignore[attr-defined]
    width = max((len(name) for name, _ in pairs), default=0)
    return [f"  {name:{width}}  {value}" for name, value in pairs]


def _finding(finding: Finding) -> list[str]:
    sign = _SIGNS[finding.level]
    lines = _wrapped(f"{sign:7}  ", f"{finding.summary} [{finding.code}]")
    if finding.detail:
        for line in finding.detail.splitlines():
            lines += _wrapped(f"{_INDENT}| ", line, f"{_INDENT}| ")
    if finding.remedy:
        lines += _wrapped(f"{_INDENT}-> ", finding.remedy, f"{_INDENT}   ")
    return lines


def _wrapped(first: str, text: str, others: str = _INDENT) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _verdict(findings: Sequence[Finding]) -> str:
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    if not problems:
        return "No problem found."
    return f"{problems} problem{'s' if problems > 1 else ''} found."
