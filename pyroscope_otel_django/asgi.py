"""The project's ASGI application, with the lifespan that Django's own lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core import asgi

from pyroscope_otel.setup import agent, configuration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

__all__ = ("get_asgi_application",)


def get_asgi_application() -> Application:
    """Return the application. Use it in place of Django's function of this name.

    A server that is stopped by a signal often ends by that signal, without running the
    interpreter's exit handlers (uvicorn does). The end of the lifespan is the last chance to
    push samples. Everything except the lifespan goes to Django.
    """
    serve: Any = asgi.get_asgi_application()

    async def application(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await serve(scope, receive, send)

    return application


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    agent.ensure_running()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    configuration.flush()
    await send({"type": "lifespan.shutdown.complete"})
