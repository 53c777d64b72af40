"""Findings about an application name the cause and leave out its consequences."""

from __future__ import annotations

import pytest

from tests.tools.doctor.applications import GLOBAL, MIDDLEWARE, PLAIN, PROVIDER
from tests.tools.doctor.judging import codes


def test_sdk_is_switched_off_in_the_code(check):
    off = "import os\nos.environ['OTEL_SDK_DISABLED'] = 'true'"
    assert codes(check(off, PROVIDER, GLOBAL, PLAIN, MIDDLEWARE).findings) == ["sdk-disabled!"]


@pytest.mark.parametrize("off", ["argument enabled", "environment variable PYROSCOPE_ENABLED"])
def test_package_is_switched_off(check, monkeypatch, off):
    middleware = MIDDLEWARE
    if off.startswith("argument"):
        middleware = MIDDLEWARE.replace('"shop"', '"shop", enabled=False')
    else:
        monkeypatch.setenv("PYROSCOPE_ENABLED", "false")
    checked = check(PLAIN, middleware)
    assert checked.findings == []
    assert checked.arguments["enabled"] is False
    assert checked.sources["enabled"] == off


def test_noop_provider(check):
    off = GLOBAL.replace("provider)", "trace.NoOpTracerProvider())")
    found = check("from opentelemetry import trace", off, PLAIN, MIDDLEWARE).findings
    assert codes(found) == ["provider-without-spans!"]


@pytest.mark.usefixtures("zero_code")
def test_opentelemetry_instrument_without_the_exporter(check, monkeypatch):
    """opentelemetry-distro defaults to OTLP over gRPC."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp_proto_grpc")
    flask = "from flask import Flask\napp = Flask('shop')"
    (finding,) = check(flask).findings
    assert codes([finding]) == ["app-zero-code-failed!"]
    assert "'otlp_proto_grpc' not found" in finding.detail
    assert "opentelemetry-exporter-otlp-proto-http" in finding.remedy


@pytest.mark.parametrize(
    ("app", "middleware", "needed"),
    [
        ("async def app(scope, receive, send): ...", "wsgi", "asgi"),
        ("def app(environ, start_response): ...", "asgi", "wsgi"),
    ],
)
def test_middleware_of_the_other_protocol(check, app, middleware, needed):
    (finding,) = check(app, MIDDLEWARE.replace("asgi", middleware)).findings
    assert codes([finding]) == ["app-not-loaded!"]
    assert f"It needs pyroscope_otel.{needed}.PyroscopeMiddleware" in finding.summary
