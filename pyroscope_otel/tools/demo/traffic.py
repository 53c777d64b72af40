"""The requests that the demo sends to the shop."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor, as_completed
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ("Request", "pair_of_requests", "round_of_requests", "send", "send_together")

_TIMEOUT_SECONDS = 30.0
_WORDS = ("tea", "kettle", "lemon", "saucer")
_WHOLESALE_EVERY = 4


class Request(NamedTuple):
    """A request to the shop.

    Attributes:
        method: The HTTP method.
        path: The path.
        trace_id: The id of its trace, as if a web page had started the trace.
    """

    method: str
    path: str
    trace_id: str


def pair_of_requests() -> list[Request]:
    """Return two requests of one trace that take turns on the event loop."""
    trace_id = _new_trace_id()
    return [
        Request("GET", "/invoice/1001", trace_id),
        Request("GET", "/report/october", trace_id),
    ]


def round_of_requests(number: int) -> list[Request]:
    """Return a round of mixed requests, to be sent together.

    Args:
        number: The number of the round, from 1. The first round and every fourth one after it
            begins with the invoice of a wholesale order, which is slow.
    """
    order = 1001 + number
    invoice = 9000 + number if number % _WHOLESALE_EVERY == 1 else order
    word = _WORDS[number % len(_WORDS)]
    mixed = [
        ("GET", f"/invoice/{invoice}"),
        ("GET", f"/report/week-{number}"),
        ("GET", f"/search/{word}"),
        ("GET", f"/search/{word}s"),
        ("GET", "/catalog"),
        ("POST", f"/thumbnail/{word}"),
        ("GET", "/stock/a1"),
        ("GET", "/orders.csv"),
        ("POST", f"/receipt/{order}"),
        ("POST", f"/payment/{order}"),
        ("GET", "/health"),
    ]
    return [Request(method, path, _new_trace_id()) for method, path in mixed]


def _new_trace_id() -> str:
    return secrets.token_hex(16)


def send(url: str, request: Request, *, sampled: bool = True) -> int:
    """Send one request, read the whole response, and return its status.

    Args:
        url: The service.
        request: The request.
        sampled: Whether the request gets spans and a profile.

    Raises:
        OSError: There is no response.
    """
    # Not urllib, which would send a request to this machine through a proxy.
    connection = HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_SECONDS)
    parent = f"{request.trace_id}-{secrets.token_hex(8)}"
    headers = {"traceparent": f"00-{parent}-{'01' if sampled else '00'}"}
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
    url: str, requests: Sequence[Request], on_answer: Callable[[], object] = lambda: None
) -> None:
    """Send requests at the same time, and wait for all responses.

    Args:
        url: The service.
        requests: The requests.
        on_answer: Called after each response.

    Raises:
        OSError: A request has no response.
    """
    with ThreadPoolExecutor(len(requests)) as clients:
        answers = [clients.submit(send, url, one) for one in requests]
        for answer in as_completed(answers):
            answer.result()
            on_answer()
