"""The whole way, with the real agent: to the local server, and to a stand-in for Pyroscope."""

from __future__ import annotations

import json
import os

import pytest

from pyroscope_otel.tools.doctor import end_to_end_check
from pyroscope_otel.tools.doctor import server_check as server_checks
from pyroscope_otel.tools.doctor.bounded_http import send
from pyroscope_otel.tools.doctor.end_to_end_check import check_end_to_end
from pyroscope_otel.tools.doctor.reading import reader_for
from pyroscope_otel.tools.doctor.server_check import ServerCheck, check_server
from tests.tools.doctor.judging import codes, settings_of, target
from tests.tools.doctor.pyroscope_server import PUSH, serving


def check(address, *, with_exporters=False, **settings):
    server = ServerCheck([], reader_for(target(address)))
    return check_end_to_end(
        settings_of(server_address=address, **settings), server, with_exporters=with_exporters
    )


def test_through_the_local_server_with_its_trace(local_server, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", local_server.otlp_url)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop,service.namespace=eu")
    findings = check(local_server.url, with_exporters=True, application_name="shop")
    assert codes(findings) == ["end-to-end", "traces-accepted"]
    assert f"to {local_server.otlp_url}/v1/traces were accepted" in findings[1].summary
    # It is among nobody's requests.
    listed = json.loads(send(f"{local_server.url}/api/requests", headers={}).body)
    assert listed["requests"] == []


def test_through_pyroscopes_query_api(address, pyroscope_server):
    findings = check(address, application_name="shop", tags={"service_name": "x", "region": "eu"})
    assert codes(findings) == ["end-to-end"]
    series = [labels for labels, _, _ in pyroscope_server.stored]
    assert {labels["service_name"] for labels in series} == {"pyroscope-otel-doctor"}
    assert {labels["region"] for labels in series} == {"eu"}


def test_credentials_and_tenant_reach_the_agent(address, pyroscope_server):
    pyroscope_server.authorization, pyroscope_server.tenant = "Bearer abc", "team"
    settings = {"auth_token": "abc", "tenant_id": "team"}
    server = check_server(target(address, **settings), uses_trace_id=False)
    findings = check_end_to_end(
        settings_of(server_address=address, **settings), server, with_exporters=False
    )
    assert codes(findings) == ["end-to-end"]


@pytest.mark.usefixtures("zero_code")
def test_below_zero_code_instrumentation(address):
    assert codes(check(address)) == ["end-to-end"]


def test_a_server_that_loses_the_link(address, pyroscope_server):
    pyroscope_server.drops_span_id = True
    assert codes(check(address)) == ["end-to-end-samples-unlinked!"]


def test_a_server_that_takes_all_and_keeps_nothing(address, pyroscope_server):
    check_server(target(address), uses_trace_id=False)
    # What there is by now, is no sign that the agent's samples arrived.
    assert pyroscope_server.stored
    pyroscope_server.keeps = lambda _: False
    assert codes(check(address)) == ["end-to-end-not-arrived!"]


def test_a_server_that_refuses_the_agent_alone(pyroscope_server):
    def answer(method, path, headers, body):
        if path == PUSH and headers["User-Agent"].startswith("pyroscope-rs"):
            return 422, "the agent is not welcome"
        return pyroscope_server.answer(method, path, headers, body)

    with serving(answer) as address:
        check_server(target(address), uses_trace_id=False)
        (finding,) = check(address)
    assert codes([finding]) == ["end-to-end-not-arrived!"]
    assert "422" in finding.detail


def test_a_server_that_shows_nothing_yet_is_no_problem(address, pyroscope_server):
    pyroscope_server.shows = lambda: False
    (finding,) = check(address)
    assert codes([finding]) == ["end-to-end-nothing-shown"]
    assert pyroscope_server.stored


def test_a_new_server_that_shows_the_span_when_more_is_pushed(
    address, pyroscope_server, monkeypatch
):
    monkeypatch.setattr(server_checks, "_NEW_SERVER_SECONDS", 30.0)
    monkeypatch.setattr(server_checks, "_PUSH_AGAIN_SECONDS", 0.1)
    pushes = []
    pyroscope_server.shows = lambda: len(pushes) > 2
    server = ServerCheck([], reader_for(target(address)), lambda: pushes.append(1))
    findings = check_end_to_end(settings_of(server_address=address), server, with_exporters=False)
    assert codes(findings) == ["end-to-end"]


def test_what_cannot_be_read_back(address, pyroscope_server):
    pyroscope_server.may_read = False
    assert codes(check(address)) == ["end-to-end-cannot-read"]


def test_few_samples_a_second_are_no_reason_to_miss_the_span(address, pyroscope_server):
    assert codes(check(address, sample_rate=1)) == ["end-to-end"]
    # At one a second, each sample would stand for a second.
    assert all(value % 1_000_000_000 for _, _, value in pyroscope_server.stored)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OTEL_TRACES_SAMPLER": "always_off"}, "end-to-end-not-sampled!"),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.0"},
            "end-to-end-not-sampled!",
        ),
    ],
)
def test_a_span_that_is_not_recorded(address, monkeypatch, environment, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert codes(check(address)) == [expected]


def test_a_share_that_chance_would_not_have_sampled(address, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.000001")
    assert codes(check(address)) == ["end-to-end"]


def test_a_process_that_comes_to_no_end(address, monkeypatch):
    monkeypatch.setattr("pyroscope_otel.tools.doctor.end_to_end_check._SECONDS", 0.2)
    (finding,) = check(address)
    assert codes([finding]) == ["end-to-end-failed!"]
    assert "it took more than 0 s and was stopped" in finding.summary


def test_a_process_that_crashes_says_how(address, monkeypatch, tmp_path):
    crash = "import os, sys; sys.stderr.write('it hurts\\n'); sys.stderr.flush(); os.abort()"
    (tmp_path / "sitecustomize.py").write_text(crash)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (finding,) = check(address)
    assert codes([finding]) == ["end-to-end-failed!"]
    assert "it was ended by signal 6 (Aborted)" in finding.summary
    assert finding.detail == "it hurts"


def test_a_span_that_may_have_no_attributes(address, monkeypatch):
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0")
    assert codes(check(address)) == ["end-to-end-no-attribute!"]


def test_an_agent_that_does_not_start(address, monkeypatch, tmp_path):
    refuse = "import pyroscope; pyroscope.configure = lambda **_: False"
    (tmp_path / "sitecustomize.py").write_text(refuse)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (finding,) = check(address)
    assert codes([finding]) == ["end-to-end-no-agent!"]
    assert "The Pyroscope agent did not start" in finding.detail


def test_without_a_server_the_process_is_judged_alone(closed_port):
    settings = settings_of(server_address=f"http://127.0.0.1:{closed_port}")
    assert check_end_to_end(settings, ServerCheck([]), with_exporters=False) == []


@pytest.mark.timeout(600)  # one that was started for the tests shows nothing for some minutes
def test_through_a_real_pyroscope(real_server):
    server = check_server(target(real_server), uses_trace_id=False)
    assert codes(server.findings)[0] == "server-accepts-push"
    assert server.findings[1].code in ("trace-id-separated", "trace-id-makes-series")
    findings = check_end_to_end(
        settings_of(server_address=real_server), server, with_exporters=False
    )
    assert codes(findings) == ["end-to-end"]


@pytest.mark.parametrize(
    ("sampled_ms", "more"),
    [
        (940, ""),
        (1780, " PySpy also samples threads that wait for a CPU: this machine is busy."),
    ],
)
def test_more_samples_than_cpu_time_are_explained(sampled_ms, more):
    words = (
        "The profile of span 00ab was read back by its id: it used 1000 ms of CPU time, and "
        f"{sampled_ms} ms were sampled."
    )
    assert end_to_end_check._read_back("00ab", sampled_ms * 1e6, 1e9) == words + more
