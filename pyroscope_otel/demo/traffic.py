"""The requests that the demo sends to the shop."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor, as_completed
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = (
    "GET_HEALTH",
    "INVOICE",
    "PAIR",
    "Request",
    "new_trace_id",
    "round_of_requests",
    "send",
    "send_together",
)

_TIMEOUT_SECONDS = 30.0


class Request(NamedTuple):
    """A request to the shop."""

    method: str
    path: str


GET_HEALTH = Request("GET", "/health")

PAIR = (Request("GET", "/invoice/1001"), Request("GET", "/report/october"))
"""The two that share the event loop in turns, and nothing else: the point of it all."""

INVOICE = "GET /invoice/{number}"
"""The route whose requests are slow now and then."""

_WORDS = ("tea", "kettle", "lemon", "saucer")
_WHOLESALE_EVERY = 4


def round_of_requests(number: int) -> list[Request]:
    """Return a round of mixed requests, to be sent together.

    Args:
        number: The round's number, from 1. The first and every fourth one after it
            has the invoice of a wholesale order, which is slow.
    """
    order = 1001 + number
    invoice = 9000 + number if number % _WHOLESALE_EVERY == 1 else order
    word = _WORDS[number % len(_WORDS)]
    return [
        Request("GET", f"/invoice/{invoice}"),
        Request("GET", f"/report/week-{number}"),
        Request("GET", f"/search/{word}"),
        Request("GET", f"/search/{word}s"),
        Request("POST", f"/thumbnail/{word}"),
        Request("GET", "/stock/a1"),
        Request("GET", "/orders.csv"),
        Request("POST", f"/payment/{order}"),
        GET_HEALTH,
    ]


def new_trace_id() -> str:
    """Return a new trace id, in hex digits."""
    return secrets.token_hex(16)


def send(url: str, request: Request, *, trace_id: str = "", sampled: bool = True) -> int:
    """Send one request, read its answer to the end and return its status.

    Args:
        url: The service.
        request: The request.
        trace_id: The trace that it is to be part of, as if a page in a browser had
            begun it; a new one by default.
        sampled: Whether it is to have spans and a profile.

    Raises:
        OSError: There is no answer.
    """
    # Not urllib: what is here must not go through a proxy.
    connection = HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_SECONDS)
    trace = f"{trace_id or new_trace_id()}-{secrets.token_hex(8)}"
    headers = {"traceparent": f"00-{trace}-{'01' if sampled else '00'}"}
    try:
        connection.request(request.method, request.path, headers=headers)
        answer = connection.getresponse()
        answer.read()
    except HTTPException as error:
        raise ConnectionError(f"{request.method} {request.path}: {error!r}") from error
    finally:
        connection.close()
    return answer.status


def send_together(
    url: str,
    requests: Sequence[Request],
    *,
    trace_id: str = "",
    on_answer: Callable[[], object] = lambda: None,
) -> None:
    """Send requests at the same time, and wait for all answers.

    Args:
        url: The service.
        requests: The requests.
        trace_id: As in `send`, the same for all.
        on_answer: Called after each answer.

    Raises:
        OSError: One has no answer.
    """
    with ThreadPoolExecutor(len(requests)) as clients:
        answers = [clients.submit(send, url, one, trace_id=trace_id) for one in requests]
        for answer in as_completed(answers):
            answer.result()
            on_answer()
