"""The end-to-end check with the real agent, the local server and a fake Pyroscope server."""

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


def test_local_server_with_profile_and_trace(local_server, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", local_server.otlp_url)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop,service.namespace=eu")
    findings = check(local_server.url, with_exporters=True, application_name="shop")
    assert codes(findings) == ["end-to-end", "traces-accepted"]
    assert f"to {local_server.otlp_url}/v1/traces were accepted" in findings[1].summary
    # The local server does not list the doctor's request.
    listed = json.loads(send(f"{local_server.url}/api/requests", headers={}).body)
    assert listed["requests"] == []


def test_query_api_of_pyroscope(address, pyroscope_server):
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
def test_with_zero_code_instrumentation(address):
    assert codes(check(address)) == ["end-to-end"]


def test_server_that_drops_span_ids(address, pyroscope_server):
    pyroscope_server.drops_span_id = True
    assert codes(check(address)) == ["end-to-end-samples-unlinked!"]


def test_server_that_accepts_pushes_and_stores_nothing(address, pyroscope_server):
    check_server(target(address), uses_trace_id=False)
    # The earlier sample must not count as one of the agent.
    assert pyroscope_server.stored
    pyroscope_server.keeps = lambda _: False
    assert codes(check(address)) == ["end-to-end-not-arrived!"]


def test_server_that_refuses_only_the_agent(pyroscope_server):
    def answer(method, path, headers, body):
        if path == PUSH and headers["User-Agent"].startswith("pyroscope-rs"):
            return 422, "the agent is not welcome"
        return pyroscope_server.answer(method, path, headers, body)

    with serving(answer) as address:
        check_server(target(address), uses_trace_id=False)
        (finding,) = check(address)
    assert codes([finding]) == ["end-to-end-not-arrived!"]
    assert "422" in finding.detail


def test_server_that_shows_nothing_yet_is_no_problem(address, pyroscope_server):
    pyroscope_server.shows = lambda: False
    (finding,) = check(address)
    assert codes([finding]) == ["end-to-end-nothing-shown"]
    assert pyroscope_server.stored


def test_new_server_that_shows_the_span_after_more_pushes(address, pyroscope_server, monkeypatch):
    monkeypatch.setattr(server_checks, "_ARRIVAL_SECONDS", 30.0)
    monkeypatch.setattr(server_checks, "_NEW_SERVER_SECONDS", 30.0)
    monkeypatch.setattr(server_checks, "_PUSH_AGAIN_SECONDS", 0.1)
    pushes = []
    pyroscope_server.shows = lambda: len(pushes) > 2
    server = ServerCheck([], reader_for(target(address)), lambda: pushes.append(1))
    findings = check_end_to_end(settings_of(server_address=address), server, with_exporters=False)
    assert codes(findings) == ["end-to-end"]


def test_credentials_without_read_permission(address, pyroscope_server):
    pyroscope_server.may_read = False
    assert codes(check(address)) == ["end-to-end-cannot-read"]


def test_low_sample_rate_does_not_miss_the_span(address, pyroscope_server):
    assert codes(check(address, sample_rate=1)) == ["end-to-end"]
    # At the low rate, each sample would be a whole second.
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
def test_span_that_is_not_sampled(address, monkeypatch, environment, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert codes(check(address)) == [expected]


def test_tiny_sampling_ratio_still_samples_the_span(address, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.000001")
    assert codes(check(address)) == ["end-to-end"]


def test_process_that_does_not_end(address, monkeypatch):
    monkeypatch.setattr("pyroscope_otel.tools.doctor.end_to_end_check._SECONDS", 0.2)
    (finding,) = check(address)
    assert codes([finding]) == ["end-to-end-failed!"]
    assert "it took more than 0 s and was stopped" in finding.summary


def test_process_that_crashes(address, monkeypatch, tmp_path):
    crash = "import os, sys; sys.stderr.write('it hurts\\n'); sys.stderr.flush(); os.abort()"
    (tmp_path / "sitecustomize.py").write_text(crash)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (finding,) = check(address)
    assert codes([finding]) == ["end-to-end-failed!"]
    assert "it was ended by signal 6 (Aborted)" in finding.summary
    assert finding.detail == "it hurts"


def test_span_without_room_for_attributes(address, monkeypatch):
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0")
    assert codes(check(address)) == ["end-to-end-no-attribute!"]


def test_agent_that_does_not_start(address, monkeypatch, tmp_path):
    refuse = "import pyroscope; pyroscope.configure = lambda **_: False"
    (tmp_path / "sitecustomize.py").write_text(refuse)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (finding,) = check(address)
    assert codes([finding]) == ["end-to-end-no-agent!"]
    assert "The Pyroscope agent did not start" in finding.detail


def test_without_a_server_only_the_process_is_checked(closed_port):
    settings = settings_of(server_address=f"http://127.0.0.1:{closed_port}")
    assert check_end_to_end(settings, ServerCheck([]), with_exporters=False) == []


@pytest.mark.timeout(600)  # a new server shows nothing for minutes
def test_real_pyroscope_server(real_server):
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
def test_finding_explains_more_samples_than_cpu_time(sampled_ms, more):
    words = (
        "The profile of span 00ab was read back by its id: it used 1000 ms of CPU time, and "
        f"{sampled_ms} ms were sampled."
    )
    assert end_to_end_check._read_back("00ab", sampled_ms * 1e6, 1e9) == words + more
