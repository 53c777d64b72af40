"""The report, with hostile content."""

from __future__ import annotations

import json

from pyroscope_otel.setup.findings.finding import fine, note, problem
from pyroscope_otel.tools.doctor.examination import Examination
from pyroscope_otel.tools.doctor.masking import Mask
from pyroscope_otel.tools.doctor.report import as_json, as_text

FINDINGS = [
    problem("one", "It is wrong.", "Do this.", "said\nwith \x1b[31mcolour\x07"),
    fine("two", "It holds."),
    note("three", "It may be" + " long" * 40),
]


def test_problems_are_last_and_control_characters_are_replaced():
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


def test_agent_of_the_application():
    examination = Examination(agent={"sampler": "pyspy", "last answer": "401 for s3cret"})
    text = as_text(examination, Mask(["s3cret"]))
    assert text.splitlines()[2:5] == [
        "Agent of the application, which pushed to the doctor",
        "  sampler      pyspy",
        "  last answer  401 for ***",
    ]
    report = json.loads(as_json(examination, Mask(["s3cret"])))
    assert report["agent"] == {"sampler": "pyspy", "last answer": "401 for ***"}


def test_secret_with_spaces_is_masked_before_lines_are_wrapped():
    said = problem("one", f"{'It says so at length. ' * 3}correct horse battery staple", "")
    text = as_text(Examination(findings=[said]), Mask(["correct horse battery staple"]))
    assert "horse" not in text
    assert "length. ***" in " ".join(text.split())


def test_code_in_json_is_not_masked_if_it_contains_a_secret():
    settings = {"tenant_id": {"value": "server", "source": "argument tenant_id"}}
    said = problem("server-needs-tenant", "as server", "not server", "is server")
    examination = Examination(findings=[said], settings=settings)
    report = json.loads(as_json(examination, Mask(["server"])))
    assert report["findings"] == [
        {
            "code": "server-needs-tenant",
            "level": "problem",
            "summary": "as ***",
            "remedy": "not ***",
            "detail": "is ***",
        }
    ]
    assert report["settings"]["tenant_id"]["value"] == "***"


def test_two_problems_are_counted():
    text = as_text(Examination(findings=FINDINGS[:1] * 2), str)
    assert text.endswith("\n2 problems found.\n")
