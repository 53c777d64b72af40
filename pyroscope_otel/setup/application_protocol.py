"""Tells whether an application speaks ASGI or WSGI."""

from __future__ import annotations

import inspect
from typing import Any

_ASGI_PARAMETERS = 3
_WSGI_PARAMETERS = 2
_OTHER = {"asgi": "wsgi", "wsgi": "asgi"}


def protocol_of(app: Any) -> str | None:
    """Return "asgi" or "wsgi" by an application's parameters, or None if they do not tell.

    An ASGI application takes scope, receive and send. A WSGI application takes environ and
    start_response.
    """
    call = app if inspect.isroutine(app) else getattr(app, "__call__", app)  # noqa: B004  only its signature matters
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call):
        return "asgi"
    try:
        parameters = [*inspect.signature(call).parameters.values()]
    except (TypeError, ValueError):
        return None
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return None
    required = [
        one
        for one in parameters
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and one.default is one.empty
    ]
    return {_ASGI_PARAMETERS: "asgi", _WSGI_PARAMETERS: "wsgi"}.get(len(required))


def refuse_other_protocol(app: Any, wanted: str) -> None:
    """Raise TypeError for an application of the wrong protocol.

    Args:
        app: The application.
        wanted: The middleware's protocol, "asgi" or "wsgi".

    Raises:
        TypeError: If the application speaks the other protocol. The message names the
            middleware that it needs.
    """
    spoken = protocol_of(app)
    if spoken != _OTHER[wanted]:
        return
    kind = type(app)
    article, other_article = ("an", "a") if wanted == "asgi" else ("a", "an")
    message = (
        f"pyroscope_otel.{wanted}.PyroscopeMiddleware needs {article} {wanted.upper()} "
        f"application; this {kind.__module__}.{kind.__qualname__} is {other_article} "
        f"{spoken.upper()} application. It needs pyroscope_otel.{spoken}.PyroscopeMiddleware"
    )
    if kind.__module__.partition(".")[0] == "flask":
        message += ", or better pyroscope_otel_flask.Pyroscope"
    raise TypeError(message)
