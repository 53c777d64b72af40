"""Describes the pushes of an agent so far."""

from __future__ import annotations

import time

import pytest

from pyroscope_otel.relay.relay import RelayState
from pyroscope_otel.setup.findings.upload_state import agent_rows, by_thread_labels

BEGUN = RelayState("http://profiles.example", 0, 0, 0, 0, 0, 0, None, None)


def test_state_before_the_first_push():
    rows = agent_rows("stack", "stack", BEGUN)
    assert rows["sampler"] == "stack"
    assert rows["last answer"] == "none yet"


def test_last_answer_has_its_age(monkeypatch):
    state = RelayState("http://profiles.example", 3, 1, 1, 10, 1, 0, "it is away", 1000.0)
    monkeypatch.setattr(time, "time", lambda: 1012.3)
    assert agent_rows("pyspy", "stack", state)["last answer"] == "it is away, 12 s ago"
    # The clock was set back.
    monkeypatch.setattr(time, "time", lambda: 990.0)
    assert agent_rows("pyspy", "stack", state)["last answer"] == "it is away, 0 s ago"


def test_state_without_a_relay():
    assert set(agent_rows("pyspy", "thread", None)) == {"sampler", "attribution"}


@pytest.mark.parametrize(
    ("is_chosen", "why", "way_out"),
    [
        (True, "attribution is 'thread'", "attribution='stack' is exact."),
        (False, "started before pyroscope_otel was imported", "Import pyroscope_otel before"),
    ],
)
def test_direct_mode_comes_with_its_remedy(is_chosen, why, way_out):
    finding = by_thread_labels(is_chosen=is_chosen)
    assert why in finding.summary
    assert finding.remedy.startswith(way_out)
