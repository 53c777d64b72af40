"""Queries a local server's API."""

from __future__ import annotations

import json
from collections import Counter
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("Unanswered", "ask", "hottest")

_TIMEOUT_SECONDS = 30.0


class Unanswered(Exception):  # noqa: N818 -- reads better where it is caught
    """The server does not answer, or refuses the request. The message says which."""


def ask(
    url: str,
    what: str,
    query: Mapping[str, str] | None = None,
    *,
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> Any:
    """Return the JSON from `/api/...`.

    Args:
        url: The server's address.
        what: The path below `/api/`.
        query: The query parameters.
        timeout_seconds: How long to wait.

    Raises:
        Unanswered: There is no response, or its status is not 200.
    """
    # Not urllib, which would send a request to this machine through a proxy.
    connection = HTTPConnection(urlsplit(url).netloc, timeout=timeout_seconds)
    try:
        connection.request("GET", f"/api/{what}?{urlencode(query or {})}")
        answer = connection.getresponse()
        content = json.load(answer)
    except (OSError, HTTPException, ValueError) as error:
        raise Unanswered(f"{url} does not answer as a local server does: {error}") from error
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        reason = content.get("error") if isinstance(content, dict) else answer.reason
        raise Unanswered(f"the local server does not tell its {what}: {reason}")
    return content


def hottest(url: str, profile_id: str, most: int = 3) -> str:
    """Return the functions that used most of a request's CPU time, with their shares.

    Args:
        url: The server's address.
        profile_id: The request's profile id.
        most: The maximum number of functions.

    Raises:
        Unanswered: As for `ask`.
    """
    flame = ask(url, "flamegraph", {"profile_id": profile_id})
    own = Counter[str]()
    waiting = [flame["root"]]
    while waiting:
        node = waiting.pop()
        own[node["name"] or "(unknown)"] += node["self_ns"]
        waiting += node["children"]
    return ", ".join(
        f"{name} {nanoseconds / flame['total_ns']:.0%}"
        for name, nanoseconds in own.most_common(most)
        if nanoseconds
    )
