"""Decides when to retry, and how to log a server's answer."""

from __future__ import annotations

import random
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyroscope_otel.relay.post import Answer

__all__ = ("is_temporary", "pause_seconds", "refusal", "retry_after_seconds")

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
_LONGEST_RETRY_AFTER_SECONDS = 300.0
_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS = 408, 429

_REMEDIES = {
    400: "The server rejects these profiles; see its answer",
    401: "Check basic_auth_username and basic_auth_password, or auth_token",
    403: "Check the credentials, and tenant_id",
    404: "Check server_address: it is not a Pyroscope server, or its path is wrong",
    405: "Check server_address: it is not a Pyroscope server, or its path is wrong",
    411: "A proxy between here and the server does not accept such requests",
    413: "Raise the request size limit of the server, or of the proxy in front of it",
    415: "Check server_address: it is not a Pyroscope server",
    422: "The server rejects these profiles; see its answer",
}
_TEXT_LENGTH = 300


def is_temporary(status: int) -> bool:
    """Return whether the same request may succeed later."""
    return status in (_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS) or status >= 500  # noqa: PLR2004


def pause_seconds(failures: int) -> float:
    """Return how long to wait after this many failures in a row.

    Exponential with full jitter, so that many processes do not retry at the same time.
    """
    # The exponent is limited, because floats are.
    longest = min(_FIRST_PAUSE_SECONDS * 2 ** min(failures, 16), _LONGEST_PAUSE_SECONDS)
    return random.uniform(_FIRST_PAUSE_SECONDS, longest)  # noqa: S311  not for security


def retry_after_seconds(value: str | None) -> float:
    """Return the seconds in a `Retry-After` header, limited; 0 for none (RFC 9110, 10.2.3)."""
    if value is None:
        return 0.0
    value = value.strip()
    if value.isascii() and value.isdigit():
        # Cut first: int() refuses thousands of digits.
        seconds = float(value[:9])
    else:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_SECONDS)


def refusal(answer: Answer, secrets: Iterable[str] = ()) -> str:
    """Return a permanent refusal by the server and its remedy, in words.

    Args:
        answer: The server's answer.
        secrets: The values to mask in it: it may echo our headers.
    """
    said = f"{answer.status}"
    text = answer.text
    for secret in secrets:
        text = text.replace(secret, "***")
    text = _one_line(text)
    if text:
        said += f" ({text})"
    if answer.status < 400:  # noqa: PLR2004
        remedy = "Redirects are not followed: set server_address to the final address"
        if target := _origin(answer.location or ""):
            remedy += f". It points to {target}"
    else:
        remedy = _REMEDIES.get(answer.status, "See its answer")
    return f"{said}. {remedy}"


def _origin(url: str) -> str:
    """Return the scheme and host of a URL. The rest may contain secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return _one_line(f"{parts.scheme}://{parts.hostname}") if parts.hostname else ""


def _one_line(text: str) -> str:
    """Return text from anywhere as one printable line."""
    words = "".join(c if c.isprintable() else " " for c in text).split()
    return " ".join(words)[:_TEXT_LENGTH]
