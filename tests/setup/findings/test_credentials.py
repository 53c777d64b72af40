"""Credentials that cross a network in clear text."""

from __future__ import annotations

import pytest

from pyroscope_otel.setup.findings.credentials import judge_credentials
from pyroscope_otel.setup.settings import read_settings

FAR = "http://profiles.example:4040"
TOKEN = {"auth_token": "sesame"}


def judge(**given):
    return judge_credentials(read_settings(given, environ={}))


@pytest.mark.parametrize(
    "credentials",
    [
        TOKEN,
        {"basic_auth_username": "me", "basic_auth_password": "sesame"},
        {"http_headers": {"Authorization": "Bearer sesame"}},
        {"http_headers": {"X-Api-Key": "sesame"}},
        {"server_address": "http://me:sesame@profiles.example:4040"},
        {"server_address": "http://sesame@profiles.example:4040"},
    ],
    ids=["token", "login", "authorization", "another header", "address", "user alone"],
)
def test_credentials_in_clear_text(credentials):
    (finding,) = judge(**{"server_address": FAR, **credentials})
    assert finding.code == "settings-credentials-in-clear"
    assert finding.remedy == "Use an address that begins with https://."
    assert "sesame" not in finding.line


@pytest.mark.parametrize(
    "address",
    [
        "https://profiles.example",
        "http://localhost:4040",
        "http://LOCALHOST:4040",
        "http://p.localhost:4040",
        "http://127.0.0.1:4040",
        "http://127.0.0.2:4040",
        "http://[::1]:4040",
    ],
)
def test_credentials_that_are_protected(address):
    assert judge(server_address=address, **TOKEN) == []


@pytest.mark.parametrize("address", ["http://localhost.example", "http://10.0.0.1", FAR])
def test_other_hosts_are_other_machines(address):
    assert judge(server_address=address, **TOKEN) != []


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"tenant_id": "team"},
        {"http_headers": {"X-Scope-OrgID": "team"}},
        {"http_headers": {"User-Agent": "shop"}},
    ],
    ids=["nothing", "tenant", "tenant's header", "user agent"],
)
def test_address_without_credentials(given):
    assert judge(server_address=FAR, **given) == []
