"""ASGI middleware for Starlette, FastAPI, Litestar, Quart, Django and others."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from pyroscope_otel.link import failure
from pyroscope_otel.link.held_asgi import REQUESTS, serve_held
from pyroscope_otel.link.held_request import is_contrib, is_traced_outside
from pyroscope_otel.setup import agent, configuration, tracing
from pyroscope_otel.setup.application_protocol import refuse_other_protocol
from pyroscope_otel.setup.installing import missing_instrumentation
from pyroscope_otel.setup.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span, TracerProvider
    from typing_extensions import Unpack

    from pyroscope_otel.link.held_asgi import Application, Message, Receive, Scope, Send
    from pyroscope_otel.setup.arguments import Arguments

__all__ = ("PyroscopeMiddleware",)


class PyroscopeMiddleware:
    """Links the requests of an ASGI application with their profiles.

    OpenTelemetry's ASGI instrumentation makes a root span for each HTTP request and websocket
    session, unless the application is already instrumented or its framework traces itself
    (FastAPI). The profile stays open until the application returns, which includes streaming
    bodies and background tasks.

    The agent starts with the lifespan or the first request. At the end of the lifespan, the
    agent uploads its samples, and so does a tracer provider that was made here.

    Args:
        app: The application.
        **settings: The settings of `pyroscope_otel.configure`.

    Raises:
        SettingsError: If a setting is unknown, has a wrong value, or contradicts an earlier
            `configure`.
        ImportError: If a root span has to be made and the instrumentation is not installed.
        TypeError: If the application is a WSGI application.
    """

    def __init__(self, app: Application, **settings: Unpack[Arguments]) -> None:
        self._app = app
        self._traced = {"http": app, "websocket": app}
        self._enabled = False
        self._failure: Exception | None = None
        try:
            self._configure(settings)
        except (SettingsError, ImportError) as error:
            if not _is_built_by_starlette(app):
                raise
            self._failure = error

    def _configure(self, settings: Mapping[str, Any]) -> None:
        refuse_other_protocol(self._app, "asgi")
        configured = configuration.apply(settings, holds_requests=True)
        self._enabled = configured is not None
        if configured is None or _traces_itself(self._app):
            return
        provider = tracing.tracer_provider_for(configured)
        if not _has_starlette_tracing(self._app):
            traced = _instrumented(self._app, provider)
            self._traced = {"http": traced, "websocket": traced}
            return
        # Starlette's middleware does not trace websockets. That is no reason to reject an
        # application without contrib, which nothing else needs here.
        with suppress(ImportError):
            self._traced["websocket"] = _instrumented(self._app, provider)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if self._failure is not None:
            await _refuse_to_start(self._failure, scope, receive, send)
        elif not self._enabled:
            await self._app(scope, receive, send)
        elif scope["type"] in REQUESTS:
            await serve_held(self._serve, scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, _starting(receive), _stopping(send))
        else:
            await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_traced_outside():
            await self._app(scope, receive, send)
        else:
            await self._traced[scope["type"]](scope, receive, send)


def _is_built_by_starlette(app: Any) -> bool:
    """Return whether this is part of a Starlette or FastAPI application's own stack.

    Their `add_middleware` constructs us after the server has started. Most servers then treat
    an exception as "does not support lifespan" and continue.
    """
    while app is not None:
        if type(app).__module__ == "starlette.middleware.exceptions":
            return True
        app = getattr(app, "app", None)
    return False


async def _refuse_to_start(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    """Report a start-up failure through the lifespan, or fail the request.

    Like Starlette for a failing lifespan, it also raises: its `TestClient` treats the start as
    successful otherwise.
    """
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": str(error)})
    # Every request raises the same object: drop the frames of earlier ones.
    raise error.with_traceback(None)


def _starting(receive: Receive) -> Receive:
    async def start_agent() -> Message:
        message = await receive()
        if message["type"] == "lifespan.startup":
            agent.ensure_running()
        return message

    return start_agent


def _stopping(send: Send) -> Send:
    async def stop_agent(message: Message) -> None:
        # A server that is stopped by a signal often ends by that signal, without running the
        # interpreter's exit handlers. This is the last chance to push samples.
        if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            configuration.flush()
        await send(message)

    return stop_agent


def _instrumented(app: Application, tracer_provider: TracerProvider) -> Application:
    try:
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    except ImportError as error:
        raise missing_instrumentation("asgi", error) from error
    traced: Application = OpenTelemetryMiddleware(
        _named_after_route(app),
        default_span_details=_span_details,
        tracer_provider=tracer_provider,
        # A span per message adds nothing to the root span.
        exclude_spans=["receive", "send"],
    )
    return traced


def _span_details(scope: Scope) -> tuple[str, dict[str, Any]]:
    """Name a root span by its method alone: the route is not known yet."""
    return _method(scope), {}


def _method(scope: Scope) -> str:
    if scope["type"] == "websocket":
        return "WS"
    from opentelemetry.util.http import sanitize_method

    # Clients can send any method, and each name is a series on the server.
    method = sanitize_method(scope["method"])
    return "HTTP" if method == "_OTHER" else method


def _named_after_route(app: Application) -> Application:
    """Name the root span after the route, once the framework has found it."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        # With these keys, Starlette and FastAPI treat the request as traced further out.
        # Otherwise they would make a second root span, in another trace.
        scope["starlette.opentelemetry"] = True
        scope["fastapi.telemetry"] = None
        span = trace.get_current_span()

        async def name_and_send(message: Message) -> None:
            # The earliest message, so that streaming responses are named too.
            if message["type"] in ("http.response.start", "websocket.accept"):
                _name(span, scope)
            await send(message)

        try:
            await app(scope, receive, name_and_send)
        except BaseException:
            # An endpoint that raised has not sent anything yet.
            _name(span, scope)
            raise

    return call


def _name(span: Span, scope: Scope) -> None:
    try:
        route = _route(scope)
        if route:
            span.set_attribute("http.route", route)
            span.update_name(f"{_method(scope)} {route}")
    except Exception:
        # Frameworks may put any object into the scope.
        failure.report("name a root span after its route")


def _route(scope: Scope) -> str | None:
    """Return the template of the route that serves a request.

    Starlette and FastAPI store the route in the scope (`path_format`, relative to the mounts in
    `root_path`). Litestar stores the template (`path_template`).
    """
    route = scope.get("route")
    path = getattr(route, "path_format", None)
    if isinstance(path, str):
        # A mount whose application has no routes: `root_path` already includes it.
        relative = "" if hasattr(route, "routes") else path
        mounts = _mounts(scope, relative)
        return None if mounts is None else mounts + relative or "/"
    template = scope.get("path_template")
    return template if isinstance(template, str) else None


def _mounts(scope: Scope, path: str) -> str | None:
    """Return the template of the mounts above a route, or None if it cannot be known.

    `root_path` contains the mounts' parameters as the client sent them.
    """
    segments = str(scope.get("root_path", "")).rstrip("/").split("/")
    for name, value in scope.get("path_params", {}).items():
        if f"{{{name}}}" in path:
            continue
        try:
            segments[segments.index(str(value))] = f"{{{name}}}"
        except ValueError:
            return None
    return "/".join(segments)


def _traces_itself(app: Any) -> bool:
    """Return whether an application makes root spans for its requests and websockets."""
    while app is not None:
        if is_contrib(app) or _is_tracing_fastapi(app):
            return True
        app = getattr(app, "app", None)
    return False


def _has_starlette_tracing(app: Any) -> bool:
    """Return whether Starlette's own middleware makes root spans for requests."""
    while app is not None:
        if _is_starlette_tracing(type(app)):
            return True
        added = getattr(app, "user_middleware", ())
        if any(_is_starlette_tracing(middleware.cls) for middleware in added):
            return True
        app = getattr(app, "app", None)
    return False


def _is_starlette_tracing(kind: Any) -> bool:
    return getattr(kind, "__module__", None) == "starlette.middleware.opentelemetry"


def _is_tracing_fastapi(app: Any) -> bool:
    """Return whether this is a FastAPI application (0.142 or later) that traces its requests.

    It does if a tracer provider is set on it or globally. No public attribute tells.
    """
    if not any(kind.__module__ == "fastapi.applications" for kind in type(app).__mro__):
        return False
    telemetry = getattr(app, "_telemetry", None)
    if not (telemetry and telemetry.get("tracing")):
        return False
    provider = telemetry.get("tracer_provider") or trace.get_tracer_provider()
    return not isinstance(provider, trace.ProxyTracerProvider)
