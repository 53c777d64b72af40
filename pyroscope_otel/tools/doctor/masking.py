"""Removes secrets from everything that is printed.

A server's response, an exception or an application's log may repeat a credential. So the
checks do not mask anything themselves: all output passes through here.
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
    """Replaces secrets in text.

    Args:
        secrets: The secrets. Blank ones are ignored.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        # Longest first, as one may be part of another.
        ordered = sorted({one for one in secrets if one.strip()}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_as_pattern, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        """Return the text with the secrets replaced."""
        return text if self._pattern is None else self._pattern.sub(_MASK, text)


def _as_pattern(secret: str) -> str:
    # Otherwise a password of one or two letters would be removed from every word.
    escaped = re.escape(secret)
    return rf"(?<!\w){escaped}(?!\w)" if len(secret) < _SHORT else escaped


def secrets_of(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield the secrets among settings by name, in each form in which they are sent.

    The values need not be valid: refused values are secret too.
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
    """Yield the secrets in our environment variables and those of OpenTelemetry's exporters.

    They are not read from the settings, which do not exist if a value is refused.
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
    """Yield the password and the query of a URL, as far as it can be parsed."""
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
    """Yield the value of a header, and the credentials in it."""
    yield value
    # The token of "Bearer abc" may be repeated without "Bearer".
    yield value.partition(" ")[2]


def _basic(user: str, password: str) -> str:
    if not password:
        return ""
    return base64.b64encode(f"{user}:{password}".encode()).decode()
