"""Do credentials cross a network in the clear?"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyroscope_otel.setup.findings.finding import Finding, note

if TYPE_CHECKING:
    from pyroscope_otel.setup.settings import Settings

# What only says whose profiles they are, or what sends them.
_NO_SECRET = frozenset({"x-scope-orgid", "user-agent"})


def judge_credentials(settings: Settings) -> list[Finding]:
    """Report credentials that go to another machine over plain http.

    Any header of the settings counts as a credential, whatever its name: there is no
    telling what a proxy in front of the server takes for one.
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
    """Return whether a host's name or address is the machine's own, on which nobody listens in.

    `localhost` and what ends in it are (RFC 6761), and all of 127.0.0.0/8 and ::1.
    """
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
