"""Finds credentials that cross a network in plain text."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyroscope_otel.setup.findings.finding import Finding, note

if TYPE_CHECKING:
    from pyroscope_otel.setup.settings import Settings

# Headers that only name the tenant or the client.
_NO_SECRET = frozenset({"x-scope-orgid", "user-agent"})


def judge_credentials(settings: Settings) -> list[Finding]:
    """Report credentials that go to another machine over plain HTTP.

    Every other header in the settings counts as a credential, whatever its name: a proxy in
    front of the server may treat any header as one.
    """
    address = urlsplit(settings.server_address)
    headers = {name.lower() for name in settings.http_headers} - _NO_SECRET
    secrets = (settings.auth_token, settings.basic_auth_password, address.username, headers)
    if address.scheme != "http" or not any(secrets) or is_this_machine(address.hostname or ""):
        return []
    return [
        note(
            "settings-credentials-in-clear",
            "The credentials for the Pyroscope server cross the network in plain text: "
            f"server_address is {settings.shown('server_address')}.",
            "Use an address that begins with https://.",
        )
    ]


def is_this_machine(host: str) -> bool:
    """Return whether a host name or address is this machine's loopback interface.

    Loopback means `localhost` and names below it (RFC 6761), 127.0.0.0/8, and ::1.
    """
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
