"""The local server's ASGI application: its routes, and which requests it accepts."""

from __future__ import annotations

import ipaddress
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response
from starlette.routing import Route, Router

from pyroscope_otel.tools.serve.receiving import PUSH_PATH, TRACES_PATH, Receiving
from pyroscope_otel.tools.serve.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pyroscope_otel.tools.serve.api import Api

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
_FILES = {file.name: file for file in _PAGE.iterdir() if file.suffix in _MEDIA_TYPES}

# The page shows data from others. Markup that got past its escaping could still run no
# script, and load nothing from elsewhere.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


def make_app(receiving: Receiving, api: Api, host: str) -> ASGIApp:
    """Return the application.

    Args:
        receiving: The endpoints that receive data.
        api: The endpoints that return data.
        host: The host that the server listens on.
    """
    routes = [
        Route(PUSH_PATH, receiving.push, methods=["POST"]),
        Route(TRACES_PATH, receiving.traces, methods=["POST"]),
        Route("/api/status", api.status),
        Route("/api/requests", api.requests),
        Route("/api/requests/{profile_id}", api.request),
        Route("/api/routes", api.routes),
        Route("/api/durations", api.durations),
        Route("/api/flamegraph", api.flamegraph),
        Route("/api/source", api.source),
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
            ClientDisconnect: _client_gone,
            Exception: _failed,
        },
    )
    return _Guard(answered, host)


def _page(request: Request) -> Response:
    file = _FILES.get(request.path_params.get("name", "index.html"))
    if file is None:
        raise Refused(404, "there is no such file")
    return FileResponse(
        file, media_type=_MEDIA_TYPES[file.suffix], headers={"Cache-Control": "no-cache"}
    )


def _refuse(_request: Request, error: Any) -> Response:
    return _json_error(error.status, error.reason, error.headers)


def _refuse_http(request: Request, error: Any) -> Response:
    """Answer a request that Starlette refuses, for its path or its method."""
    reason = f"{request.method} {request.url.path}: {error.detail}"
    return _json_error(error.status_code, reason, error.headers)


def _failed(request: Request, error: Exception) -> Response:
    _logger.error("The local server failed on %s", request.url.path, exc_info=error)
    return _json_error(500, "the local server failed; see its log")


def _client_gone(_request: Request, _error: Exception) -> Response:
    return _json_error(400, "the client went away before its body was complete")


def _json_error(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps({"error": reason}), status, headers, media_type="application/json")


class _Guard:
    """Checks the Host header of requests, and adds the security headers to responses.

    Any website can make its own name resolve to 127.0.0.1 and so share an origin with this
    server (DNS rebinding). Its requests still have its name in their Host header.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._names = {"localhost", host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        app = self._app
        scope["app"] = self  # makes Starlette raise its refusals instead of answering itself
        if not self._is_ours(Headers(scope=scope).get("host", "")):
            app = _json_error(421, "the Host header names another server than this one")
        await app(scope, receive, guarded_send)

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        name = name.lower().rstrip(".")
        return name in self._names or _is_address(name.strip("[]"))


def _is_address(name: str) -> bool:
    """Return whether a host is an IP address, which no DNS record can redirect."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
