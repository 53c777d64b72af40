"""Holds each request at the entry of its application or instrumentation, without a middleware.

OpenTelemetry's contrib instrumentations, and frameworks that trace themselves, start the
root span somewhere inside and may end it before the response is closed. These hooks hold the
request and run it through its mark from the outermost call in. That covers code that runs
before the root span starts, streaming bodies, and background tasks.
"""

from __future__ import annotations

import importlib
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar

from pyroscope_otel.following.hook import Hook
from pyroscope_otel.link import held_asgi, held_wsgi
from pyroscope_otel.link.held_request import is_held, is_traced_outside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyroscope_otel.link.held_asgi import Receive, Scope, Send
    from pyroscope_otel.link.held_wsgi import StartResponse, WSGIEnvironment


class _Edge(Hook):
    """Wraps `__call__` of an application class."""

    application: ClassVar[str]
    """The name of the class in `module`."""

    def _install(self) -> None:
        application = getattr(importlib.import_module(self.module), self.application)
        self._patch(application, "__call__", self._wrap)

    def _wrap(self, original: Callable[..., Any]) -> Any:
        raise NotImplementedError


class _AsgiEdge(_Edge):
    def begins_here(self) -> bool:
        """Return whether a request in the current context begins at this edge."""
        return True

    def _wrap(self, original: Callable[..., Any]) -> Any:
        hook = self

        @wraps(original)
        async def serve(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
            application = original.__get__(self)
            if (
                hook.active
                and scope["type"] in held_asgi.REQUESTS
                and not is_held(scope)
                and hook.begins_here()
            ):
                await held_asgi.serve_held(application, scope, receive, send)
            else:
                await application(scope, receive, send)

        return serve


class _WsgiEdge(_Edge):
    def _wrap(self, original: Callable[..., Any]) -> Any:
        hook = self

        @wraps(original)
        def serve(
            self: Any, environ: WSGIEnvironment, start_response: StartResponse
        ) -> Iterable[bytes]:
            application = original.__get__(self)
            if hook.active:
                return held_wsgi.serve_held(application, environ, start_response)
            return application(environ, start_response)  # type: ignore[no-any-return]

        return serve


class AsgiInstrumentation(_AsgiEdge):
    """Contrib's ASGI middleware, which its FastAPI and Starlette instrumentations also use."""

    module = "opentelemetry.instrumentation.asgi"
    application = "OpenTelemetryMiddleware"


class FastapiApplications(_AsgiEdge):
    """FastAPI applications, which from 0.142 on start the root span outside of Starlette's code.

    An application that another request calls is left to Starlette's edge: its own root span, if
    it makes one, is current there. Here, the hold would take the other request's profile.
    """

    module = "fastapi.applications"
    application = "FastAPI"

    def begins_here(self) -> bool:
        """Return whether no other request's profile would be taken."""
        return not is_traced_outside()


class StarletteApplications(_AsgiEdge):
    """Starlette and FastAPI applications, whatever instrumentation they contain."""

    module = "starlette.applications"
    application = "Starlette"


class DjangoUnderAsgi(_AsgiEdge):
    """Django's ASGI application."""

    module = "django.core.handlers.asgi"
    application = "ASGIHandler"


class WsgiInstrumentation(_WsgiEdge):
    """Contrib's WSGI middleware."""

    module = "opentelemetry.instrumentation.wsgi"
    application = "OpenTelemetryMiddleware"


class FlaskApplications(_WsgiEdge):
    """Flask applications. Contrib's instrumentation wraps `wsgi_app`, further in."""

    module = "flask.app"
    application = "Flask"


class DjangoUnderWsgi(_WsgiEdge):
    """Django's WSGI application."""

    module = "django.core.handlers.wsgi"
    application = "WSGIHandler"
