"""The check of the settings: errors, allowed values that break the link, and names."""

from __future__ import annotations

import pytest

from pyroscope_otel.setup.settings import read_settings
from pyroscope_otel.tools.doctor.settings_check import as_arguments, check_settings, shown
from tests.tools.doctor.judging import codes, settings_of, the_finding

TOKEN = {"auth_token": "t0ken"}


def findings(environ=None, **given):
    return check_settings(given, environ=environ or {}, resource={}).findings


def test_correct_settings():
    assert codes(findings()) == ["settings-allowed"]


def test_refused_setting():
    check = check_settings({}, environ={"PYROSCOPE_SERVER_ADDRESS": "localhost:4040"}, resource={})
    assert check.settings is None
    assert codes(check.findings) == ["settings-refused!"]
    assert check.findings[0].detail == (
        "server_address must be a URL that begins with http:// or https:// and names a host; "
        "environment variable PYROSCOPE_SERVER_ADDRESS is 'localhost:4040'"
    )


def test_thread_attribution_with_the_stack_sampler_is_refused():
    pyroscope = pytest.importorskip("pyroscope")
    stack = pyroscope.ProfilerImplementation.Stack
    (refused,) = findings(cpu_implementation=stack, attribution="thread")
    assert "it does not read thread labels" in refused.detail


def test_misspelt_variable(caplog):
    found = findings({"PYROSCOPE_APLICATION_NAME": "shop"})
    assert codes(found) == ["settings-near-miss", "settings-allowed"]
    assert "did you mean PYROSCOPE_APPLICATION_NAME?" in found[0].summary
    assert caplog.messages == []  # Only in the report.


def test_all_findings_about_settings():
    found = findings(
        sample_rate=10,
        tags={"team name": "a"},
        upload_interval=40,
        server_address="http://profiles.example",
        auth_token="abc",  # noqa: S106  not a secret
    )
    assert codes(found) == [
        "settings-few-samples",
        "labels-not-classic",
        "upload-interval-too-long",
        "settings-credentials-in-clear",
    ]


def test_shown_settings_have_no_secrets():
    settings = settings_of(
        http_headers={"X-Key": "s3cret"},
        server_address="https://profiles.example?key=k3y",
        **TOKEN,
    )
    text = str(shown(settings))
    assert "auth_token" in text
    assert "argument auth_token" in text
    for secret in ("t0ken", "s3cret", "k3y"):
        assert secret not in text


def test_settings_survive_the_way_to_another_process():
    settings = settings_of(application_name="shop", tags={"a": "b"}, sample_rate=7, **TOKEN)
    again = read_settings(as_arguments(settings), environ={})
    assert again == settings


def test_source_of_a_setting_can_be_given():
    check = check_settings(
        {"tenant_id": "a"}, environ={}, resource={}, sources={"tenant_id": "Flask setting X"}
    )
    assert shown(check.settings)["tenant_id"] == {"value": "'a'", "source": "Flask setting X"}
    assert the_finding("settings-allowed", check.findings)
