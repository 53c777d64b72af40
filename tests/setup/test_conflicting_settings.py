"""Settings that are allowed alone and refused together."""

from __future__ import annotations

import pyroscope
import pytest

from pyroscope_otel.setup.settings import read_settings
from tests.setup.reading import read, refusal


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"attribution": "thread"}, "it does not read thread labels"),
        ({"oncpu": False}, "it samples by CPU time"),
    ],
)
def test_stack_is_refused_with_settings_it_cannot_honour(other, reason):
    """Scenario 48: it would not label samples, or not start, without a word."""
    ((name, value),) = other.items()
    message = refusal(other, environ={"PYROSCOPE_CPU_IMPLEMENTATION": "stack"})
    assert message == (
        "cpu_implementation 'stack' (environment variable PYROSCOPE_CPU_IMPLEMENTATION) cannot be "
        f"used with {name} {value!r} (argument {name}): {reason}"
    )
    for sampler in ("auto", "pyspy"):
        assert read_settings(other, environ={"PYROSCOPE_CPU_IMPLEMENTATION": sampler})


def test_token_and_user_together():
    message = refusal(
        {"basic_auth_username": "ann", "basic_auth_password": "hunter2"},
        environ={"PYROSCOPE_AUTH_TOKEN": "hunter3"},
    )
    assert message == (
        "only one way of authentication is allowed; given basic_auth_username "
        "(argument basic_auth_username) and auth_token (environment variable PYROSCOPE_AUTH_TOKEN)"
    )


def test_token_and_authorization_header_together():
    message = refusal({"auth_token": "hunter2", "http_headers": {"authorization": "Basic x"}})
    assert message == (
        "only one way of authentication is allowed; given auth_token (argument auth_token) and "
        "the header Authorization in http_headers (argument http_headers)"
    )


def test_user_and_authorization_header_together():
    message = refusal(
        {
            "basic_auth_username": "ann",
            "basic_auth_password": "hunter2",
            "http_headers": {"Authorization": "Basic x"},
        }
    )
    assert message == (
        "only one way of authentication is allowed; given basic_auth_username "
        "(argument basic_auth_username) and the header Authorization in http_headers "
        "(argument http_headers)"
    )


def test_token_and_user_in_the_address_together():
    message = refusal({"auth_token": "hunter2", "server_address": "http://ann:hunter3@p"})
    assert message == (
        "only one way of authentication is allowed; given auth_token (argument auth_token) and "
        "the user in server_address (argument server_address)"
    )


def test_tenant_and_its_header_together():
    message = refusal({"tenant_id": "a", "http_headers": {"x-scope-orgid": "b"}})
    assert message == (
        "tenant_id (argument tenant_id) and the header X-Scope-OrgID in http_headers "
        "(argument http_headers) are the same thing; only one is allowed"
    )


def test_user_without_password():
    assert refusal({"basic_auth_username": "ann"}) == (
        "basic_auth_username (argument basic_auth_username) needs basic_auth_password "
        "(environment variable PYROSCOPE_BASIC_AUTH_PASSWORD) as well"
    )


def test_password_without_user():
    assert refusal(environ={"PYROSCOPE_BASIC_AUTH_PASSWORD": "hunter2"}) == (
        "basic_auth_password (environment variable PYROSCOPE_BASIC_AUTH_PASSWORD) needs "
        "basic_auth_username (environment variable PYROSCOPE_BASIC_AUTH_USER) as well"
    )


def test_nothing_to_profile():
    assert refusal({"cpu_enabled": False}) == (
        "cpu_enabled (argument cpu_enabled) and mem_enabled (default) are both False; "
        "at least one must be True, or enabled must be False"
    )


def test_setting_that_the_installed_agent_lacks(monkeypatch):
    # As in a release that lacks many later arguments.
    def configure(application_name=None, server_address="http://localhost:4040"):
        pass

    monkeypatch.setattr(pyroscope, "configure", configure)
    assert read({"application_name": "shop"}).agent_arguments() == {"application_name": "shop"}
    assert refusal({"upload_interval": 5}) == (
        "upload_interval (argument upload_interval) needs a newer release of pyroscope-io"
    )
