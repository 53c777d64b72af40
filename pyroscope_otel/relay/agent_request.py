"""Parses the agent's requests, and refuses all others."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("HEAD_BYTES", "SECRET_HEADER", "Head", "Refused", "answer", "parse_head")

SECRET_HEADER = "X-Pyroscope-Otel-Secret"  # noqa: S105  a name, not a secret
HEAD_BYTES = 16 * 1024
"""The maximum size of a request's head."""
BODY_BYTES = 16 * 1024 * 1024
"""The maximum size of a request's body, as sent."""

_PATH = b"/push.v1.PusherService/Push"
_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
}


class Refused(Exception):  # noqa: N818  an answer, not an error
    """The request gets this status, and the connection is closed."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a push.

    Attributes:
        length: The length of the body, in bytes.
        gzipped: Whether the body is gzipped.
        user_agent: The client's name.
        keeps_alive: Whether another request may follow.
    """

    length: int
    gzipped: bool
    user_agent: str
    keeps_alive: bool


def parse_head(head: bytes, secret: bytes) -> Head:
    """Parse and check the head of a request.

    Args:
        head: The request line and the headers, without the empty line at the end.
        secret: The secret that the agent was given.

    Raises:
        Refused: If it is not a push of our agent.
    """
    line, *fields = head.split(b"\r\n")
    headers: dict[bytes, bytes] = {}
    for field in fields:
        name, colon, value = field.partition(b":")
        name = name.lower()
        if not colon or name in headers:
            raise Refused(400)
        headers[name] = value.strip(b" \t")
    # First of all, so that a stranger learns nothing.
    given = headers.get(SECRET_HEADER.lower().encode(), b"")
    if not hmac.compare_digest(given, secret):
        raise Refused(403)
    method, _, rest = line.partition(b" ")
    target, _, version = rest.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise Refused(400)
    if target != _PATH:
        raise Refused(404)
    if method != b"POST":
        raise Refused(405)
    return Head(
        length=_length(headers),
        gzipped=_is_gzipped(headers),
        user_agent=headers.get(b"user-agent", b"").decode("latin-1"),
        keeps_alive=version == b"HTTP/1.1" and headers.get(b"connection", b"").lower() != b"close",
    )


def _length(headers: Mapping[bytes, bytes]) -> int:
    length = headers.get(b"content-length")
    if length is None or b"transfer-encoding" in headers:
        raise Refused(411)
    if not length.isdigit():
        raise Refused(400)
    # Check the length first: int() refuses thousands of digits.
    if len(length) > len(str(BODY_BYTES)) or int(length) > BODY_BYTES:
        raise Refused(413)
    return int(length)


def _is_gzipped(headers: Mapping[bytes, bytes]) -> bool:
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    encoding = headers.get(b"content-encoding", b"identity").lower()
    if kind != b"application/proto" or encoding not in (b"gzip", b"identity"):
        raise Refused(415)
    return encoding == b"gzip"


def answer(status: int, *, keeps_alive: bool) -> bytes:
    """Return an HTTP answer with an empty body, as for a push."""
    close = "" if keeps_alive else "Connection: close\r\n"
    return (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/proto\r\n"
        f"Content-Length: 0\r\n{close}\r\n"
    ).encode("ascii")
