"""The settings: what is refused, what breaks the link though it is allowed, and names."""

from __future__ import annotations

import pytest

from pyroscope_otel.setup.settings import read_settings
from pyroscope_otel.tools.doctor.settings_check import as_arguments, check_settings, shown
from tests.tools.doctor.judging import codes, settings_of, the

TOKEN = {"auth_token": "t0ken"}


def findings(environ=None, **given):
    return check_settings(given, environ=environ or {}, resource={}).findings


def test_settings_that_are_all_right():
    assert codes(findings()) == ["settings-allowed"]


def test_a_setting_that_is_refused():
    check = check_settings({}, environ={"PYROSCOPE_SERVER_ADDRESS": "localhost:4040"}, resource={})
    assert check.settings is None
    assert codes(check.findings) == ["settings-refused!"]
    assert check.findings[0].detail == (
        "server_address must be a URL that begins with http:// or https:// and names a host; "
        "environment variable PYROSCOPE_SERVER_ADDRESS is 'localhost:4040'"
    )


def test_what_the_stack_sampler_cannot_do_is_refused():
    pyroscope = pytest.importorskip("pyroscope")
    stack = pyroscope.ProfilerImplementation.Stack
    (refused,) = findings(cpu_implementation=stack, attribution="thread")
    assert "it does not read thread labels" in refused.detail


def test_a_variable_whose_name_is_nearly_right(caplog):
    found = findings({"PYROSCOPE_APLICATION_NAME": "shop"})
    assert codes(found) == ["settings-near-miss", "settings-allowed"]
    assert "did you mean PYROSCOPE_APPLICATION_NAME?" in found[0].summary
    assert caplog.messages == []  # It is in the report, and there only.


def test_every_judgement_of_settings_is_asked():
    found = findings(
        sample_rate=10,
        tags={"team name": "a"},
        upload_interval=40,
        server_address="http://profiles.example",
        auth_token="abc",  # noqa: S106  nobody's
    )
    assert codes(found) == [
        "settings-few-samples",
        "labels-not-classic",
        "upload-interval-too-long",
        "settings-credentials-in-clear",
    ]


def test_what_is_shown_has_no_secret():
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


def test_the_settings_reach_another_process_as_they_are():
    settings = settings_of(application_name="shop", tags={"a": "b"}, sample_rate=7, **TOKEN)
    again = read_settings(as_arguments(settings), environ={})
    assert again == settings


def test_where_a_setting_came_from_can_be_known_better():
    check = check_settings(
        {"tenant_id": "a"}, environ={}, resource={}, sources={"tenant_id": "Flask setting X"}
    )
    assert shown(check.settings)["tenant_id"] == {"value": "'a'", "source": "Flask setting X"}
    assert the("settings-allowed", check.findings)
