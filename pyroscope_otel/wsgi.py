"""WSGI middleware for Flask, Django, Bottle, Pyramid and others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel.link.held_request import (
    is_contrib,
    is_traced_outside,
    no_leftover_span,
)
from pyroscope_otel.link.held_wsgi import BODY, ApplicationBody, is_ready, serve_held
from pyroscope_otel.setup import configuration, tracing
from pyroscope_otel.setup.application_protocol import refuse_other_protocol
from pyroscope_otel.setup.installing import missing_instrumentation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.trace import Span, TracerProvider
    from typing_extensions import Unpack

    from pyroscope_otel.link.held_wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from pyroscope_otel.setup.arguments import Arguments

__all__ = ("PyroscopeMiddleware",)


class PyroscopeMiddleware:
    """Links the requests of a WSGI application with their profiles.

    OpenTelemetry's WSGI instrumentation makes a root span for each request, unless the
    application is already instrumented. The profile stays open until the response is closed,
    which includes a streaming body.

    Args:
        app: The application.
        **settings: The settings of `pyroscope_otel.configure`.

    Raises:
        SettingsError: If a setting is unknown, has a wrong value, or contradicts an earlier
            `configure`.
        ImportError: If a root span has to be made and the instrumentation is not installed.
        TypeError: If the application is an ASGI application.
    """

    def __init__(self, app: WSGIApplication, **settings: Unpack[Arguments]) -> None:
        refuse_other_protocol(app, "wsgi")
        self._app = app
        self._traced = app
        configured = configuration.apply(settings, holds_requests=True)
        self._enabled = configured is not None
        if configured is not None and not _is_instrumented(app):
            self._traced = _instrumented(app, tracing.tracer_provider_for(configured))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request as specified by PEP 3333."""
        if not self._enabled:
            return self._app(environ, start_response)
        return serve_held(self._serve, environ, start_response)

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not is_traced_outside():
            with no_leftover_span():
                return self._traced(environ, start_response)
        body = self._app(environ, start_response)
        if is_ready(body, environ):
            return body
        ours = environ[BODY] = ApplicationBody(body, environ.get(BODY))
        return ours


def _instrumented(app: WSGIApplication, tracer_provider: TracerProvider) -> WSGIApplication:
    try:
        from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
    except ImportError as error:
        raise missing_instrumentation("wsgi", error) from error

    def keep_body(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            body = app(environ, start_response)
            body = environ[BODY] = ApplicationBody(body, environ.get(BODY))
        except Exception:
            raise
        except BaseException:
            # The instrumentation does not handle a worker timeout or a killed greenlet.
            trace.get_current_span().end()
            raise
        return body

    instrumented: WSGIApplication = OpenTelemetryMiddleware(
        keep_body, request_hook=_name_after_method, tracer_provider=tracer_provider
    )

    def traced(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        before = otel_context.get_current()
        try:
            return instrumented(environ, start_response)
        except Exception:
            raise
        except BaseException:
            # As above: it would leave the span current on the calling thread.
            otel_context.attach(before)
            raise

    return traced


def _name_after_method(span: Span, environ: WSGIEnvironment) -> None:
    """Name a root span by its method alone: WSGI has no routes."""
    from opentelemetry.util.http import sanitize_method

    method = sanitize_method(environ.get("REQUEST_METHOD", ""))
    span.update_name("HTTP" if method == "_OTHER" else method)


def _is_instrumented(app: Any) -> bool:
    """Return whether an instrumentation is in the chain of wrapped applications."""
    while app is not None:
        if is_contrib(app):
            return True
        app = getattr(app, "wsgi_app", None) or getattr(app, "app", None)
    return False
