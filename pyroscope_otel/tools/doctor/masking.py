"""Keeps secrets out of what is printed.

A server's answer, an exception or an application's log may repeat a credential.
So it is not the checks that mind this: all that is printed goes through here.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MASK = "***"
_SHORT = 4


class Mask:
    """Replaces secrets in texts.

    Args:
        secrets: The secrets. Empty ones are left out.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        # The longest first: one may be part of another.
        ordered = sorted({one for one in secrets if one.strip()}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_as_pattern, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        """Return a text without the secrets."""
        return text if self._pattern is None else self._pattern.sub(_MASK, text)


def _as_pattern(secret: str) -> str:
    # A password of a letter or two would else take that out of every word.
    escaped = re.escape(secret)
    return rf"(?<!\w){escaped}(?!\w)" if len(secret) < _SHORT else escaped


def secrets_of(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield the secrets among settings by name, in each form in which they are sent.

    They need not be allowed: what is refused is kept secret as well.
    """
    user = str(settings.get("basic_auth_username") or "")
    password = str(settings.get("basic_auth_password") or "")
    yield str(settings.get("auth_token") or "")
    yield password
    yield _basic(user, password)
    headers = settings.get("http_headers")
    if isinstance(headers, dict):
        for value in headers.values():
            yield from secrets_of_header(str(value))
    yield from secrets_of_address(str(settings.get("server_address") or ""))


def secrets_of_environment(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the secrets in environment variables of ours and of OpenTelemetry's exporters.

    Read apart from the settings: these may be refused, and then there are none.
    """
    yield environ.get("PYROSCOPE_AUTH_TOKEN", "").strip()
    yield environ.get("PYROSCOPE_BASIC_AUTH_PASSWORD", "").strip()
    for text in re.findall(r':\s*"([^"]*)"', environ.get("PYROSCOPE_HTTP_HEADERS", "")):
        yield from secrets_of_header(text)
    for name, value in environ.items():
        if re.fullmatch(r"OTEL_EXPORTER_OTLP_(\w+_)?HEADERS", name):
            for pair in value.split(","):
                yield from secrets_of_header(unquote(pair.partition("=")[2].strip()))
                yield from secrets_of_header(pair.partition("=")[2].strip())
        elif re.fullmatch(r"PYROSCOPE_SERVER_ADDRESS|OTEL_EXPORTER_OTLP_(\w+_)?ENDPOINT", name):
            yield from secrets_of_address(value)


def secrets_of_address(address: str) -> Iterator[str]:
    """Yield the password and the query in a URL, as far as it is one."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    if parts.password:
        yield parts.password
        yield unquote(parts.password)
        yield _basic(unquote(parts.username or ""), unquote(parts.password))
    yield parts.query


def secrets_of_header(value: str) -> Iterator[str]:
    """Yield a header's value, and the credentials in it alone."""
    yield value
    # "Bearer abc": the token may come back alone.
    yield value.partition(" ")[2]


def _basic(user: str, password: str) -> str:
    if not password:
        return ""
    return base64.b64encode(f"{user}:{password}".encode()).decode()
