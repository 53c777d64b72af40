"""Sends HTTP requests with a limit on their time and on the size of the response."""

from __future__ import annotations

import contextlib
import queue
import ssl
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.client import HTTPResponse

_SECONDS = 8.0
_MAX_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 300


class Unreachable(Exception):  # noqa: N818  reads better where it is caught
    """There was no response. The message gives the reason."""


@dataclass(frozen=True)
class Answer:
    """A server's response.

    Attributes:
        status: The HTTP status.
        body: The beginning of the body.
        location: The target of a redirect, or empty.
    """

    status: int
    body: bytes
    location: str = ""

    @property
    def text(self) -> str:
        """The beginning of the body, on one line."""
        words = self.body[: _SHOWN_CHARACTERS * 4].decode(errors="replace").split()
        return " ".join(words)[:_SHOWN_CHARACTERS]


def send(
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
) -> Answer:
    """Send a GET, or a POST if there is a body, and return the response, whatever its status.

    Redirects are not followed: they could send the credentials elsewhere.

    Raises:
        Unreachable: If there is no response in time.
    """
    # A socket timeout does not limit a name lookup, or a server that sends one byte a
    # second. So use a thread, and a daemon so that a hanging one does not block the exit.
    outcome: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            outcome.put(_send(url, headers, body, time.monotonic() + _SECONDS))
        except Exception as error:
            outcome.put(error)

    threading.Thread(target=work, daemon=True).start()
    with contextlib.suppress(queue.Empty):
        answer = outcome.get(timeout=_SECONDS)
        if isinstance(answer, Answer):
            return answer
        raise Unreachable(_in_words(answer)) from answer
    raise Unreachable(f"no answer in {_SECONDS:.0f} s")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _send(url: str, headers: Mapping[str, str], body: bytes | None, deadline: float) -> Answer:
    request = urllib.request.Request(url, data=body, headers=dict(headers))  # noqa: S310  checked: http(s)
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        response = opener.open(request, timeout=max(deadline - time.monotonic(), 0.1))
    except urllib.error.HTTPError as error:
        with error:
            location = error.headers.get("Location", "") if 300 <= error.code < 400 else ""  # noqa: PLR2004  redirects
            return Answer(error.code, error.read(_CHUNK_BYTES), location)
    with response:
        return Answer(response.status, _read(response, deadline))


def _read(response: HTTPResponse, deadline: float) -> bytes:
    chunks: list[bytes] = []
    left = _MAX_BYTES
    while left > 0 and (chunk := response.read1(min(left, _CHUNK_BYTES))):
        chunks.append(chunk)
        left -= len(chunk)
        if time.monotonic() > deadline:
            raise TimeoutError
    return b"".join(chunks)


def _in_words(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return "it did not answer in time"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {reason.verify_message}"
    if isinstance(reason, ssl.SSLError):
        return f"it does not speak TLS ({reason.reason})"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason) or type(reason).__name__
