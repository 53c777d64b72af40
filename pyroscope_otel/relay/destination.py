"""Where profiles go in the end, and with which credentials."""

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

_SHORTEST_SECRET = 4  # a shorter value is in any text, and replacing it hides nothing

_PATH = "/push.v1.PusherService/Push"

# They say how the request itself is sent, which is not for the application to say.
_FRAMING = frozenset(
    ("connection", "content-encoding", "content-length", "content-type", "transfer-encoding")
)


@dataclass(frozen=True)
class Destination:
    """A Pyroscope server. Its repr has no secrets.

    Attributes:
        address: Its URL, such as `https://profiles.example.com/prefix`. It may have a
            user and a password in it.
        basic_auth_username: With `basic_auth_password`, what basic authentication is
            made from; either empty: what the address has.
        basic_auth_password: See there.
        tenant_id: The value of `X-Scope-OrgID`; empty for none.
        http_headers: Further headers. One of these names replaces ours.

    Raises:
        ValueError: The address is no http(s) URL, or a header cannot be sent. The
            message has no secrets.
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
            # Not with the standard library's message, which may quote the password.
            raise ValueError("the server's address is no valid http or https URL") from None
        for name, value in self.headers().items():
            if not _can_be_sent(name, value):
                raise ValueError(f"the header {name!r} cannot be sent")

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.address.strip())

    @property
    def push_url(self) -> str:
        """Where pushes are sent to."""
        return self.url + _PATH

    def headers(self) -> dict[str, str]:
        """Return the headers that authenticate a push, and the application's own."""
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
        """Return what must not be shown, also where the server sends it back; longest first."""
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
        ValueError: It is none.
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
    """Return the value of a header for basic authentication (RFC 7617, in UTF-8)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _can_be_sent(name: str, value: str) -> bool:
    """Return whether a header is one by RFC 9110, 5.5 and 5.6.2."""
    return (
        bool(name)
        and _TOKEN.issuperset(name)
        and all(c == "\t" or " " <= c < "\x7f" or "\x80" <= c <= "\xff" for c in value)
    )
