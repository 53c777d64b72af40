"""Settings that are allowed and hide something."""

from __future__ import annotations

import pytest

from pyroscope_otel.setup.findings.finding import Level
from pyroscope_otel.setup.findings.profiling import (
    classic_label,
    judge_labels,
    judge_profiling,
    judge_visibility,
)
from pyroscope_otel.setup.settings import read_settings


def settings(**given):
    return read_settings(given, environ={})


@pytest.mark.parametrize(
    ("given", "code", "level"),
    [
        ({"enabled": False}, "settings-disabled", Level.PROBLEM),
        ({"cpu_enabled": False, "mem_enabled": True}, "settings-no-cpu-profiles", Level.PROBLEM),
        ({"span_labels": ["span_name"]}, "settings-no-span-id", Level.PROBLEM),
        ({"sample_rate": 49}, "settings-few-samples", Level.NOTE),
        ({"attribution": "thread"}, "attribution-by-thread-labels", Level.NOTE),
    ],
)
def test_settings_that_leave_spans_without_profiles(given, code, level):
    (finding,) = judge_profiling(settings(**given))
    assert (finding.code, finding.level) == (code, level)


@pytest.mark.parametrize("given", [{}, {"sample_rate": 50}])
def test_settings_with_which_spans_have_profiles(given):
    assert judge_profiling(settings(**given)) == []


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("app.kubernetes.io/name", "app_kubernetes_io_name"),
        ("pod-name", "pod_name"),
        ("team name", "team_name"),
        ("1st", "_1st"),
        ("größe", "gr__e"),
    ],
)
def test_hidden_label(name, instead):
    (finding,) = judge_visibility(settings(tags={name: "x", "region": "eu"}))
    assert finding.code == "labels-not-classic"
    assert f": {name!r}. Grafana does not show" in finding.summary
    assert finding.remedy == f"Call them {instead!r} instead of {name!r}."
    assert list(judge_labels([classic_label(name)])) == []


def test_hidden_labels_are_one_finding():
    (finding,) = judge_labels(["pod-name", "region", "1st"])
    assert finding.remedy == "Call them 'pod_name' instead of 'pod-name', '_1st' instead of '1st'."


@pytest.mark.parametrize("name", ["region", "_private", "Team2", "service_name"])
def test_visible_label(name):
    assert list(judge_labels([name])) == []


@pytest.mark.parametrize(
    ("seconds", "level", "missed"),
    [
        (31, Level.NOTE, "Grafana's embedded flame graph, which asks for the 30 s"),
        (60, Level.NOTE, "Grafana's embedded flame graph"),
        (61, Level.PROBLEM, "Grafana's link from a span"),
    ],
)
def test_upload_interval_longer_than_grafana_looks_back(seconds, level, missed):
    (finding,) = judge_visibility(settings(upload_interval=seconds))
    assert (finding.code, finding.level) == ("upload-interval-too-long", level)
    assert f"upload_interval is {seconds} s: {missed}" in finding.summary
    assert "30 s or less" in finding.remedy


@pytest.mark.parametrize("seconds", [10, 30])
def test_upload_interval_within_the_time_grafana_looks_back(seconds):
    assert judge_visibility(settings(upload_interval=seconds)) == []
