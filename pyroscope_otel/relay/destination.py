"""The server that profiles are sent to, and its credentials."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("Destination",)

_HOST = re.compile(r"[0-9a-z._:%-]+")
_PATH_CHARACTERS = "/%:@!$&'()*+,;=~"  # and letters, digits, "_.-" (RFC 3986, 3.3)

_SHORTEST_SECRET = 4  # masking shorter values would garble any text and hide nothing

_PATH = "/push.v1.PusherService/Push"

# These headers control how the request is sent, so the application cannot set them.
_FRAMING = frozenset(
    ("connection", "content-encoding", "content-length", "content-type", "transfer-encoding")
)


@dataclass(frozen=True)
class Destination:
    """A Pyroscope server. Its repr contains no secrets.

    Attributes:
        address: Its URL, such as `https://profiles.example.com/prefix`. It may contain a user
            and a password.
        basic_auth_username: The user for basic authentication. If this or the password is
            empty, the credentials come from the address.
        basic_auth_password: The password for basic authentication.
        tenant_id: The value of `X-Scope-OrgID`. Empty for none.
        http_headers: Additional headers. They override ours.

    Raises:
        ValueError: If the address is not an http(s) URL, or a header cannot be sent. The
            message contains no secrets.
    """

    address: str = field(repr=False)
    basic_auth_username: str = field(default="", repr=False)
    basic_auth_password: str = field(default="", repr=False)
    tenant_id: str = ""
    http_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    url: str = field(init=False)
    """The address without user, password, query and fragment."""

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "url", _url(self._parts))
        except ValueError:
            # The standard library's message may quote the password.
            raise ValueError("the server's address is not a valid http or https URL") from None
        for name, value in self.headers().items():
            if not _can_be_sent(name, value):
                raise ValueError(f"the header {name!r} cannot be sent")

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.address.strip())

    @property
    def push_url(self) -> str:
        """The URL that pushes are sent to."""
        return self.url + _PATH

    def headers(self) -> dict[str, str]:
        """Return the authentication headers and the application's own headers."""
        headers: dict[str, str] = {}
        parts = self._parts
        if self.basic_auth_username and self.basic_auth_password:
            headers["Authorization"] = basic_auth(
                self.basic_auth_username, self.basic_auth_password
            )
        elif parts.username is not None:
            headers["Authorization"] = basic_auth(
                unquote(parts.username), unquote(parts.password or "")
            )
        if self.tenant_id:
            headers["X-Scope-OrgID"] = self.tenant_id
        for name, value in self.http_headers.items():
            lower = name.lower()
            if lower not in _FRAMING:
                headers = {known: headers[known] for known in headers if known.lower() != lower}
                headers[name] = value
        return headers

    def secrets(self) -> tuple[str, ...]:
        """Return the values to mask even in the server's answers, longest first."""
        parts = self._parts
        values = {self.basic_auth_password, unquote(parts.password or "")}
        for name, value in self.headers().items():
            if name.lower() != "x-scope-orgid":
                values |= {value, value.rpartition(" ")[2]}
        long_enough = (value for value in values if len(value) >= _SHORTEST_SECRET)
        return tuple(sorted(long_enough, key=len, reverse=True))


def _url(parts: SplitResult) -> str:
    """Return an http(s) URL without user, password, query and fragment.

    Raises:
        ValueError: If it is not an http(s) URL.
    """
    host = (parts.hostname or "").encode("idna").decode("ascii")
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        raise ValueError
    if ":" in host:
        host = f"[{host}]"
    if parts.port is not None:
        host = f"{host}:{parts.port}"
    return f"{parts.scheme}://{host}{quote(parts.path.rstrip('/'), safe=_PATH_CHARACTERS)}"


def basic_auth(user: str, password: str) -> str:
    """Return a header value for basic authentication (RFC 7617, in UTF-8)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _can_be_sent(name: str, value: str) -> bool:
    """Return whether a header is valid by RFC 9110, 5.5 and 5.6.2."""
    return (
        bool(name)
        and _TOKEN.issuperset(name)
        and all(c == "\t" or " " <= c < "\x7f" or "\x80" <= c <= "\xff" for c in value)
    )
