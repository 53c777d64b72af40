"""The server that the doctor pushes to and reads from."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from pyroscope_otel.setup.findings.names import DOCTOR_SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroscope_otel.setup.settings import Settings

SERVICE_NAME = DOCTOR_SERVICE


@dataclass(frozen=True)
class Target:
    """A Pyroscope server, as configured in the settings.

    Attributes:
        address: The URL, without user information or a trailing slash.
        read_address: The URL to read profiles from.
        shown: The address without secrets.
        headers: The headers of each push, with credentials and tenant.
        read_headers: The headers of each query.
        labels: The labels of the doctor's series. They include the tags in the settings, as a
            server may refuse those, and the doctor's own service name.
    """

    address: str
    read_address: str
    shown: str
    headers: Mapping[str, str]
    read_headers: Mapping[str, str]
    labels: Mapping[str, str]


def target_of(settings: Settings, read_from: str | None = None) -> Target:
    """Return where an agent with these settings pushes to.

    Args:
        settings: The settings.
        read_from: The server to read from, if it is another. Credentials in this URL replace
            those in the settings.
    """
    address, login = _without_login(settings.server_address)
    headers = {"User-Agent": SERVICE_NAME, **settings.http_headers}
    if settings.basic_auth_username:
        login = f"{settings.basic_auth_username}:{settings.basic_auth_password}"
    if login:
        headers["Authorization"] = _basic(login)
    if settings.auth_token:
        headers["Authorization"] = f"Bearer {settings.auth_token}"
    if settings.tenant_id:
        headers["X-Scope-OrgID"] = settings.tenant_id
    read_address, read_login = _without_login(read_from or address)
    return Target(
        address=address,
        read_address=read_address,
        shown=address,
        headers=headers,
        read_headers={**headers, "Authorization": _basic(read_login)} if read_login else headers,
        labels={**doctor_tags(settings.tags), "service_name": SERVICE_NAME},
    )


def doctor_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags without `service_name`."""
    return {name: value for name, value in tags.items() if name != "service_name"}


def _without_login(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    login = ""
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", "")), login


def _basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"
