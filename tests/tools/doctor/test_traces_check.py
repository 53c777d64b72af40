"""The check of trace exports: real exporters, and servers that refuse spans."""

from __future__ import annotations

import pytest

from pyroscope_otel.tools.doctor.end_to_end_check import check_end_to_end
from pyroscope_otel.tools.doctor.server_check import ServerCheck
from tests.tools.doctor.judging import codes, settings_of, the_finding
from tests.tools.doctor.pyroscope_server import serving


@pytest.fixture
def traces(monkeypatch, closed_port):
    """Return a function that exports to an endpoint and returns the findings."""
    monkeypatch.setattr("pyroscope_otel.tools.doctor.end_to_end_check._BURN_SECONDS", 0.0)
    # An exporter retries this long if nothing listens.
    monkeypatch.setattr("pyroscope_otel.tools.doctor.end_to_end_check._EXPORT_SECONDS", "2")

    def check(endpoint, **environment):
        if endpoint:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings = settings_of(server_address=f"http://127.0.0.1:{closed_port}")
        return check_end_to_end(settings, ServerCheck([]), with_exporters=True)

    return check


def test_no_endpoint(traces):
    assert codes(traces(None)) == ["traces-no-endpoint"]


def test_unreachable_endpoint(traces, closed_port):
    (finding,) = traces(f"http://127.0.0.1:{closed_port}")
    assert codes([finding]) == ["traces-unreachable!"]
    assert "Connection refused" in finding.detail


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials(traces, status):
    def answer(_method, _path, headers, _body):
        is_right = headers["Authorization"] == "Basic abc"
        return (200, "") if is_right else (status, "who are you?")

    with serving(answer) as endpoint:
        findings = traces(endpoint, OTEL_EXPORTER_OTLP_HEADERS="authorization=Basic%20wrong")
    assert codes(findings) == ["traces-credentials-refused!"]
    assert str(status) in findings[0].detail


def test_accepted_credentials(traces):
    def answer(_method, path, headers, _body):
        assert path == "/v1/traces"
        return (200, b"") if headers["Authorization"] == "Basic abc" else (401, "")

    with serving(answer) as endpoint:
        findings = traces(endpoint, OTEL_EXPORTER_OTLP_HEADERS="authorization=Basic%20abc")
    assert codes(findings) == ["traces-accepted"]


@pytest.mark.parametrize("status", [404, 400])
def test_endpoint_that_refuses_spans(traces, status):
    with serving(lambda *_: (status, "")) as endpoint:
        findings = traces(endpoint)
    assert codes(findings) == ["traces-refused!"]
    assert str(status) in findings[0].detail


def test_exporter_is_switched_off(traces):
    findings = traces("http://127.0.0.1:4318", OTEL_TRACES_EXPORTER="none")
    assert codes(findings) == ["traces-exporter-off!"]


def test_exporter_is_not_installed(traces):
    # The gRPC exporter is not in the test environment.
    with pytest.raises(ImportError):
        __import__("opentelemetry.exporter.otlp.proto.grpc.trace_exporter")
    findings = traces("http://127.0.0.1:4317", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    assert the_finding("traces-exporter-missing", findings)
