"""The report for people, where what it shows is hostile."""

from __future__ import annotations

from pyroscope_otel.doctor.examination import Examination
from pyroscope_otel.doctor.finding import fine, note, problem
from pyroscope_otel.doctor.report import as_text

FINDINGS = [
    problem("one", "It is wrong.", "Do this.", "said\nwith \x1b[31mcolour\x07"),
    fine("two", "It holds."),
    note("three", "It may be" + " long" * 40),
]


def test_problems_come_last_and_no_control_character_at_all():
    text = as_text(Examination(findings=FINDINGS), str)
    assert text.splitlines()[1:] == [
        "",
        "Findings",
        "ok       It holds. [two]",
        f"note     It may be {' '.join(['long'] * 14)}",
        f"         {' '.join(['long'] * 16)}",
        f"         {' '.join(['long'] * 10)} [three]",
        "PROBLEM  It is wrong. [one]",
        "         | said",
        "         | with ?[31mcolour?",
        "         -> Do this.",
        "",
        "1 problem found.",
    ]


def test_two_problems_are_counted():
    text = as_text(Examination(findings=FINDINGS[:1] * 2), str)
    assert text.endswith("\n2 problems found.\n")
