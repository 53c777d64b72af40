"""Shared fixtures: a clean environment, servers, and a closed port."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyroscope_otel.tools.doctor import end_to_end_check
from pyroscope_otel.tools.doctor import server_check as server_checks
from pyroscope_otel.tools.doctor.application_check import check_application
from pyroscope_otel.tools.serve import LocalServer
from tests.support.machine import clean_environment, unused_port
from tests.tools.doctor.pyroscope_server import PyroscopeServer, serving

# Read before the environment is cleaned.
REAL_SERVER = os.environ.get("PYROSCOPE_TEST_SERVER")


@pytest.fixture
def real_server(monkeypatch):
    if not REAL_SERVER:
        pytest.skip("PYROSCOPE_TEST_SERVER names no Pyroscope server")
    monkeypatch.setattr(server_checks, "_ARRIVAL_SECONDS", 30.0)
    # It may have been started just now.
    monkeypatch.setattr(server_checks, "_NEW_SERVER_SECONDS", 250.0)
    return REAL_SERVER


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    clean_environment(monkeypatch)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    # Some tests wait for something that never arrives.
    monkeypatch.setattr(server_checks, "_ARRIVAL_SECONDS", 1.0)
    monkeypatch.setattr(server_checks, "_NEW_SERVER_SECONDS", 1.0)
    monkeypatch.setattr(server_checks, "_POLL_SECONDS", 0.1)
    monkeypatch.setattr(end_to_end_check, "_BURN_SECONDS", 0.3)


@pytest.fixture
def pyroscope_server():
    return PyroscopeServer()


@pytest.fixture
def address(pyroscope_server):
    with serving(pyroscope_server.answer) as url:
        yield url


@pytest.fixture(scope="module")
def local_server():
    with LocalServer(port=0, otlp_port=0) as server:
        yield server


@pytest.fixture
def zero_code(monkeypatch):
    """Set up processes as `opentelemetry-instrument` does."""
    import opentelemetry.instrumentation.auto_instrumentation as started

    monkeypatch.setenv("PYTHONPATH", str(Path(started.__file__).parent), prepend=os.pathsep)
    for signal in ("TRACES", "METRICS", "LOGS"):
        monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "none")
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "celery,django,fastapi,starlette")
    monkeypatch.setenv("PYROSCOPE_APPLICATION_NAME", "shop")


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Return a function that checks an application, given its source."""
    monkeypatch.chdir(tmp_path)

    def check(*source, app="shop:app", path="/"):
        (tmp_path / "shop.py").write_text("\n".join(source))
        return check_application(app, path)

    return check


@pytest.fixture
def endpoint(monkeypatch):
    with serving(lambda *_: (200, b"")) as address:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        yield address


@pytest.fixture
def closed_port():
    with unused_port() as port:
        yield port
