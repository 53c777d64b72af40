"""Holds an ASGI request from its first step until the application returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroscope_otel.link.held_request import hold_request, no_leftover_span, release, run_held_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUESTS = ("http", "websocket")
"""The scope types that are requests."""


async def serve_held(app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one request through its mark, unless an outer middleware already holds it."""
    hold = hold_request(scope)
    if hold is None:
        await app(scope, receive, send)
        return
    try:
        with no_leftover_span():
            await run_held_async(hold, app, scope, receive, send)
    finally:
        release(hold)
