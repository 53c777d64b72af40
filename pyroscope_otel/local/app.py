"""The local server's ASGI application: which path is what, and who may ask."""

from __future__ import annotations

import ipaddress
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response
from starlette.routing import Route, Router

from pyroscope_otel.local.receiving import PUSH_PATH, TRACES_PATH, Receiving
from pyroscope_otel.local.refusal import Refused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pyroscope_otel.local.api import Api

__all__ = ("make_app",)

_logger = logging.getLogger(__name__)

_PAGE = Path(__file__).parent / "page"
_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}

# What is shown was sent by others: whatever gets past the page's escaping runs
# nothing, and loads nothing from elsewhere.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def make_app(receiving: Receiving, api: Api, host: str) -> ASGIApp:
    """Return the application.

    Args:
        receiving: The ways in.
        api: The ways out.
        host: What the server was told to listen on.
    """
    routes = [
        Route(PUSH_PATH, receiving.push, methods=["POST"]),
        Route(TRACES_PATH, receiving.traces, methods=["POST"]),
        Route("/api/status", api.status),
        Route("/api/requests", api.requests),
        Route("/api/requests/{profile_id}", api.request),
        Route("/api/routes", api.routes),
        Route("/api/flamegraph", api.flamegraph),
        Route("/api/difference", api.difference),
        Route("/api/profiles/{profile_id}.pprof", api.pprof),
        Route("/api/events", api.events),
        Route("/", _page),
        Route("/page/{name}", _page),
    ]
    answered = ExceptionMiddleware(
        Router(routes, redirect_slashes=False),
        handlers={
            Refused: _refuse,
            HTTPException: _refuse_http,
            ClientDisconnect: _nobody_there,
        },
    )
    return _Guard(answered, host)


def _page(request: Request) -> Response:
    name = request.path_params.get("name", "index.html")
    file = _PAGE / name
    # The name is one path segment, but may be "..".
    if file.suffix not in _MEDIA_TYPES or not file.is_file():
        raise Refused(404, "there is no such file")
    return FileResponse(
        file, media_type=_MEDIA_TYPES[file.suffix], headers={"Cache-Control": "no-cache"}
    )


def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _json_error(error.status, error.reason, error.headers)


def _refuse_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _json_error(404, "there is no such path")
    return _json_error(error.status_code, f"{request.method}: {error.detail}", error.headers)


def _nobody_there(_request: Request, _error: Exception) -> Response:
    return _json_error(400, "the client went away before its body was complete")


def _json_error(status: int, reason: str, headers: object = None) -> Response:
    return Response(
        json.dumps({"error": reason}),
        status,
        headers,
        media_type="application/json",  # type: ignore[arg-type]
    )


class _Guard:
    """Answers only who knows whom they ask, and puts the headers on every answer.

    A page anywhere can let its own name resolve to 127.0.0.1, and would then be
    one origin with us; its requests still carry its name.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._names = {"localhost", host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # a websocket: the server refuses it if nobody accepts

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        host = Headers(scope=scope).get("host", "")
        if self._is_ours(host):
            await self._app(scope, receive, send_with_headers)
        else:
            refusal = _json_error(421, "the Host header names another server than this one")
            await refusal(scope, receive, send_with_headers)

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        name = name.lower().rstrip(".")
        return name in self._names or _is_address(name.strip("[]"))


def _is_address(name: str) -> bool:
    """Return whether it is an IP address: those are nobody's to point elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
