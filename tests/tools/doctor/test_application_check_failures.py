"""Applications that fail while they are loaded, start up or serve a request."""

from __future__ import annotations

import pytest

from tests.tools.doctor.applications import (
    BUILT_BY_STARLETTE,
    BY_HAND,
    CONTRIB,
    GLOBAL,
    MIDDLEWARE,
    PLAIN,
    PROVIDER,
)
from tests.tools.doctor.judging import codes, the_finding


@pytest.mark.parametrize(
    ("source", "app", "code", "words"),
    [
        ("", "nix:app", "app-not-loaded!", "No module named 'nix'"),
        ("", "shop:app", "app-not-loaded!", "cannot be loaded: shop has no app"),
        ("", "nix.settings", "app-not-loaded!", "No module named 'nix'"),
        ("", ".", "app-not-loaded!", "there is no manage.py in ."),
        ("import sys; sys.exit(3)", "shop:app", "app-not-loaded!", "SystemExit: 3"),
        ("import os; os._exit(3)", "shop:app", "app-cut-short!", "while it was loaded"),
        (
            "def app(environ, start_response):\n    import os\n    os._exit(3)",
            "shop:app",
            "app-cut-short!",
            "while it got a request",
        ),
    ],
)
def test_application_that_cannot_be_loaded(check, source, app, code, words):
    (finding,) = check(source, app=app).findings
    assert codes([finding]) == [code]
    assert words in finding.summary


def test_application_with_a_missing_package(check, tmp_path):
    (finding,) = check("import nix", app="shop:app").findings
    assert finding.detail == f"{tmp_path}/shop.py:1 in <module>"
    assert "as the server runs: in its virtual environment" in finding.remedy


def test_traceback_contains_no_source(check, tmp_path):
    (finding,) = check("int('x', base='pa55word' and 10)", app="shop:app").findings
    assert finding.detail == f"{tmp_path}/shop.py:1 in <module>"


def test_application_that_hangs(check, monkeypatch):
    monkeypatch.setattr("pyroscope_otel.tools.doctor.application_check._SECONDS", 1.0)
    (finding,) = check("import time\nprint('starting')\ntime.sleep(60)", app="shop:app").findings
    assert "it took more than 1 s and was stopped" in finding.summary


@pytest.mark.parametrize(
    ("middleware", "code"),
    [
        (BUILT_BY_STARLETTE, "app-start-up-failed!"),
        (MIDDLEWARE.replace("application_name", "aplication_name"), "settings-refused!"),
    ],
)
def test_settings_that_stop_start_up(check, middleware, code):
    (finding,) = check(PLAIN, middleware).findings
    assert codes([finding]) == [code]
    assert "aplication_name is not a setting" in finding.detail


def test_request_that_fails(check):
    findings = check(PLAIN, MIDDLEWARE, "def work(path): 1 / 0", path="/bad").findings
    assert (
        the_finding("app-request-failed", findings).detail == "ZeroDivisionError: division by zero"
    )


def test_agent_that_refuses_to_start(check):
    refused = BY_HAND.replace(
        '"http://localhost:4040"', '"http://localhost:4040", cpu_enabled=False'
    )
    findings = check(PROVIDER, GLOBAL, refused, PLAIN, CONTRIB).findings
    assert the_finding("app-agent-refused", findings).detail == "pyroscope.configure returned False"
