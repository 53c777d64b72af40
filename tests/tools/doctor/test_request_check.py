"""What a request left, judged: from facts such as the process with the application tells."""

from __future__ import annotations

import pytest

from pyroscope_otel.tools.doctor.request_check import check_request
from tests.tools.doctor.judging import codes, the

PROVIDER = {"has_processor": True, "dropped": 0, "resource": {"service.name": "shop"}}
START = {"application_name": "shop", "tags": {}, "sample_rate": 100, "gil_only": True}
ROOT = {"provider": 0, "name": "GET /", "made_by": "asgi", "is_server": True, "profile_id": "1"}


def findings(*others, cpu=0.0, wall=0.0, status=200, error="", samples=None):
    """Judge a request with these times in seconds, and samples in seconds by profile id."""
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


def test_spans_of_a_scheduler_meanwhile_are_none_of_the_request():
    tick = {**ROOT, "name": "tick", "made_by": "scheduler", "is_server": False, "profile_id": "2"}
    found = findings(tick, cpu=0.2, wall=0.2, samples={"1": 0.2})
    assert codes(found) == ["app-one-local-root", "names-match", "app-profile"]


def test_two_spans_of_servers_are_two_roots():
    again = {**ROOT, "made_by": "fastapi", "profile_id": "2"}
    assert codes(findings(again))[0] == "app-several-local-roots!"


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ({}, "app-gil-released!"),
        ({"": 0.02}, "app-gil-released!"),
        # It is sampled, and in a thread that is not followed: gil_only is no matter.
        ({"": 0.29}, "app-profile-empty!"),
        ({"1": 0.3}, "app-profile"),
    ],
)
def test_where_the_cpu_time_went(samples, expected):
    assert codes(findings(cpu=0.3, wall=0.3, samples=samples))[-1] == expected


@pytest.mark.parametrize(
    ("samples", "expected"), [({}, "app-profile-waiting"), ({"1": 0.01}, "app-profile")]
)
def test_a_long_wait_while_other_threads_use_a_little(samples, expected):
    assert codes(findings(cpu=0.11, wall=12, samples=samples))[-1] == expected


@pytest.mark.parametrize(
    ("status", "summary"),
    [
        (200, "GET / of shop:app failed."),
        (0, "GET / of shop:app failed."),
        (503, "GET / of shop:app failed with 503."),
    ],
)
def test_a_request_that_fails(status, summary):
    found = the("app-request-failed", findings(status=status, error="OSError: gone"))
    assert (found.summary, found.detail) == (summary, "OSError: gone")
