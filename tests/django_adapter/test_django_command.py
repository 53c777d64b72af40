"""The output of `manage.py pyroscope`."""

from __future__ import annotations

import io
import re
import time

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from pyroscope_otel.relay.relay import RelayState
from pyroscope_otel.setup.setting_table import TABLE
from pyroscope_otel_django import configuration
from pyroscope_otel_django.management.commands import pyroscope
from tests.django_adapter.django_project import CONTRIB, HYBRID, OURS


@pytest.fixture
def show(monkeypatch, recorder):
    """Return a function that runs the command in a process without an agent."""
    monkeypatch.setattr(configuration._state, "is_wanted", False)
    recorder.stop()

    def show(pyroscope, **settings):
        out = io.StringIO()
        with override_settings(PYROSCOPE=pyroscope, **settings):
            call_command("pyroscope", stdout=out, no_color=True)
        return [re.split(r"\s{2,}", line.strip()) for line in out.getvalue().splitlines()]

    return show


def test_shows_each_setting_with_its_value_and_source(show, monkeypatch):
    monkeypatch.setenv("PYROSCOPE_UPLOAD_INTERVAL", "20s")
    shown = show({"APPLICATION_NAME": "shop", "INSTRUMENT": False})
    assert [line[0] for line in shown[1 : len(TABLE) + 2]] == [
        *(row.name.upper() for row in TABLE),
        "INSTRUMENT",
    ]
    for line in (
        ["APPLICATION_NAME", "'shop'", "Django setting PYROSCOPE['APPLICATION_NAME']"],
        ["UPLOAD_INTERVAL", "20", "environment variable PYROSCOPE_UPLOAD_INTERVAL"],
        ["SAMPLE_RATE", "100", "default"],
        ["INSTRUMENT", "False", "Django setting PYROSCOPE['INSTRUMENT']"],
    ):
        assert line in shown


def test_secrets_are_masked(show, monkeypatch):
    monkeypatch.setenv("PYROSCOPE_HTTP_HEADERS", '{"X-Key": "sesame"}')
    shown = show({"AUTH_TOKEN": "sesame", "SERVER_ADDRESS": "http://profiles.example?key=sesame"})
    assert "sesame" not in str(shown)
    assert ["AUTH_TOKEN", "'***'", "Django setting PYROSCOPE['AUTH_TOKEN']"] in shown


STATES = [
    ({}, "not in a management command; each serving process starts it with its first request"),
    (
        {"START": "now"},
        "not in a management command; each serving process starts it as soon as it is set up",
    ),
    ({"ENABLED": False}, "switched off: no process starts it"),
]


@pytest.mark.parametrize(("pyroscope", "state"), STATES)
def test_state_of_the_agent(show, pyroscope, state):
    assert ["state", state] in show(pyroscope)


def test_state_of_a_running_agent(show, recorder):
    recorder.start()
    assert ["state", "running in this process"] in show({})


EXACT = "by the stack: exact"
BY_LABELS = "by thread labels: right for turns of 20 ms, and wrong more often below"


@pytest.mark.parametrize(("given", "attribution"), [("stack", EXACT), ("thread", BY_LABELS)])
def test_shows_the_sampler_and_attribution_of_serving_processes(show, given, attribution):
    shown = show({"ATTRIBUTION": given, "CPU_IMPLEMENTATION": "pyspy"})
    assert ["sampler", "pyspy"] in shown
    assert ["attribution", attribution] in shown
    has_relay = "call pyroscope_otel.upload_state() in a serving process, as each has its own"
    assert (["uploads", has_relay] in shown) == (given == "stack")


def test_attribution_of_an_agent_without_a_relay(show, recorder):
    recorder.start()
    assert ["attribution", BY_LABELS] in show({})


def test_shows_the_uploads_of_a_running_agent(show, recorder, monkeypatch):
    state = RelayState("http://p", 7, 4, 2, 99, 1, 0, "503", time.time())
    monkeypatch.setattr(pyroscope, "upload_state", lambda: state)
    recorder.start()
    shown = show({})
    start = shown.index(["Agent"])
    assert shown[start : shown.index(["Tracing"])] == [
        ["Agent"],
        ["state", "running in this process"],
        ["sampler", "pyspy"],
        ["attribution", EXACT],
        ["pushes taken", "7"],
        ["sent", "4"],
        ["waiting", "2 (99 bytes)"],
        ["dropped", "1"],
        ["sent without links", "0"],
        ["last answer", "503, 0 s ago"],
    ]


def test_switched_off_shows_no_sampler(show):
    assert "attribution" not in {line[0] for line in show({"ENABLED": False})[-8:]}


def test_shows_the_middleware_that_makes_the_root_spans(show, provider):
    shown = show({"TRACER_PROVIDER": provider}, MIDDLEWARE=[OURS, CONTRIB, HYBRID])
    tracing = shown.index(["Tracing"])
    assert shown[tracing : shown.index(["Findings"])] == [
        ["Tracing"],
        ["tracer provider", "opentelemetry.sdk.trace.TracerProvider"],
        ["traces go to", "InMemorySpanExporter"],
        ["middleware", f"{OURS}, 1 of 3 in MIDDLEWARE"],
        ["root spans by", f"{CONTRIB}, 2 of 3 in MIDDLEWARE"],
    ]


def test_shows_if_no_middleware_makes_root_spans(show):
    shown = show({}, MIDDLEWARE=[HYBRID])
    assert ["middleware", "not in MIDDLEWARE"] in shown
    assert ["root spans by", "something outside of Django"] in shown


def findings(shown):
    return [line for (line,) in shown[shown.index(["Findings"]) + 1 :]]


def test_shows_each_finding_with_its_remedy(show, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "till")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "nix")
    found = findings(
        show(
            {
                "APPLICATION_NAME": "shop",
                "TAGS": {"pod-name": "a"},
                "SAMPLE_RATE": 10,
                "SERVER_ADDRESS": "http://profiles.example",
                "AUTH_TOKEN": "sesame",
            }
        )
    )
    for words, line in zip(
        (
            "A sample is taken every 100 ms",
            "'pod_name' instead of 'pod-name'",
            "Use an address that begins with https://",
            "asks for 'nix'",
            "traces have service.name 'till'",
        ),
        found,
        strict=True,
    ):
        assert words in line


def test_shows_if_there_are_no_findings(show, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    shown = show({"APPLICATION_NAME": "shop"})
    assert findings(shown) == ["none"]
    assert ["traces go to", "console"] in shown


def test_wrong_settings(show):
    message = (
        "Django setting PYROSCOPE['SAMPLE_RAT'] is not a setting; "
        "did you mean Django setting PYROSCOPE['SAMPLE_RATE']?"
    )
    with pytest.raises(CommandError, match=f"^{re.escape(message)}$"):
        show({"SAMPLE_RAT": 5})
