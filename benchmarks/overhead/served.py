"""Applications that run a given function in a request, without a server.

The root span comes from our middleware in the variant `middleware`, and from the contrib
middleware in all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults

from benchmarks.overhead.set_up import agent_settings, profile_by_hand

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from opentelemetry.sdk.trace import TracerProvider

_WORK = "overhead.work"
_RESULT = "overhead.result"


class Served:
    """A WSGI and an ASGI application, traced and profiled like a variant.

    Args:
        setting: The setting with the variant; see `set_up`.
        provider: The tracer provider.
    """

    def __init__(self, setting: Mapping[str, Any], provider: TracerProvider) -> None:
        if setting["variant"] == "middleware":
            from pyroscope_otel import asgi, wsgi

            settings = agent_settings(setting)
            self._wsgi = wsgi.PyroscopeMiddleware(_wsgi_app, **settings)
            self._asgi = asgi.PyroscopeMiddleware(_asgi_app, **settings)
            return
        profile_by_hand(setting, provider)
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as Asgi
        from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as Wsgi

        self._wsgi = Wsgi(_wsgi_app)
        self._asgi = Asgi(_asgi_app)

    def wsgi(self, work: Callable[[], Any]) -> Any:
        """Serve a WSGI request that calls `work`, and return its result."""
        environ: dict[str, Any] = {_WORK: work, "PATH_INFO": "/items/7"}
        setup_testing_defaults(environ)
        body = self._wsgi(environ, lambda *_: None)
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()
        return environ[_RESULT]

    async def asgi(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Serve an ASGI request that awaits `work`, and return its result."""
        result: list[Any] = []
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/items/7",
            "raw_path": b"/items/7",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1")],
            "client": ("127.0.0.1", 40000),
            "server": ("127.0.0.1", 80),
            _WORK: work,
            _RESULT: result,
        }
        await self._asgi(scope, _receive, _send)
        return result[0]


def _wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "0")])
    environ[_RESULT] = environ[_WORK]()
    return [b""]


async def _asgi_app(scope: Mapping[str, Any], _receive: object, send: Callable[..., Any]) -> None:
    result = await scope[_WORK]()
    # A middleware may pass a copy of the scope, so the result goes into a list.
    scope[_RESULT].append(result)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_message: object) -> None:
    pass
