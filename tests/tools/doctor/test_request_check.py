"""Findings about a request, from the facts that the application's process reports."""

from __future__ import annotations

import pytest

from pyroscope_otel.tools.doctor.request_check import check_request
from tests.tools.doctor.judging import codes, the_finding

PROVIDER = {"has_processor": True, "dropped": 0, "resource": {"service.name": "shop"}}
START = {"application_name": "shop", "tags": {}, "sample_rate": 100, "gil_only": True}
ROOT = {"provider": 0, "name": "GET /", "made_by": "asgi", "is_server": True, "profile_id": "1"}


def findings(*others, cpu=0.0, wall=0.0, status=200, error="", samples=None):
    """Return the findings for a request: times in seconds, samples in seconds by profile id."""
    request = {"status": status, "error": error, "cpu_ns": cpu * 1e9}
    facts = {
        "requests": [{**request, "began_ns": 0, "ended_ns": wall * 1e9}],
        "spans": [ROOT, *others],
        "providers": [PROVIDER],
        "agent": [START],
        "agent_runs": True,
        "samples": {name: seconds * 1e9 for name, seconds in (samples or {}).items()},
    }
    return list(check_request("shop:app", "/", facts))


def test_concurrent_spans_of_a_scheduler_are_ignored():
    tick = {**ROOT, "name": "tick", "made_by": "scheduler", "is_server": False, "profile_id": "2"}
    found = findings(tick, cpu=0.2, wall=0.2, samples={"1": 0.2})
    assert codes(found) == ["app-one-local-root", "names-match", "app-profile"]


def test_two_server_spans_are_two_local_roots():
    again = {**ROOT, "made_by": "fastapi", "profile_id": "2"}
    assert codes(findings(again))[0] == "app-several-local-roots!"


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ({}, "app-gil-released!"),
        ({"": 0.02}, "app-gil-released!"),
        # It is sampled in a thread that is not followed, so gil_only is not the cause.
        ({"": 0.29}, "app-profile-empty!"),
        ({"1": 0.3}, "app-profile"),
    ],
)
def test_samples_outside_the_request(samples, expected):
    assert codes(findings(cpu=0.3, wall=0.3, samples=samples))[-1] == expected


@pytest.mark.parametrize(
    ("samples", "expected"), [({}, "app-profile-waiting"), ({"1": 0.01}, "app-profile")]
)
def test_long_wait_beside_a_little_work_of_other_threads(samples, expected):
    assert codes(findings(cpu=0.11, wall=12, samples=samples))[-1] == expected


@pytest.mark.parametrize(
    ("status", "summary"),
    [
        (200, "GET / of shop:app failed."),
        (0, "GET / of shop:app failed."),
        (503, "GET / of shop:app failed with 503."),
    ],
)
def test_request_that_fails(status, summary):
    found = the_finding("app-request-failed", findings(status=status, error="OSError: gone"))
    assert (found.summary, found.detail) == (summary, "OSError: gone")
