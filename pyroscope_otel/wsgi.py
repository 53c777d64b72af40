"""WSGI middleware: for Flask, Django, Bottle, Pyramid and any other WSGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroscope_otel import configuration, tracing
from pyroscope_otel.request import (
    held,
    hold_request,
    is_contrib,
    is_traced_outside,
    missing_instrumentation,
    no_leftover_span,
    release,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from opentelemetry.trace import Span, TracerProvider

    from pyroscope_otel.attribution import Hold

    # wsgiref.types has them from Python 3.11 on.
    WSGIEnvironment = dict[str, Any]
    StartResponse = Callable[..., Callable[[bytes], object]]
    WSGIApplication = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

__all__ = ("PyroscopeMiddleware",)

_BODY = "pyroscope_otel.body"
"""Where the innermost of us leaves the application's body for the outermost."""


class PyroscopeMiddleware:
    """Links the requests of a WSGI application with their profiles.

    Each request gets a root span, made by OpenTelemetry's WSGI instrumentation,
    unless it has one from an instrumentation of the application. Its profile is
    held open until the response is closed, over a streaming body.

    Args:
        app: The application.
        **settings: Those of `pyroscope_otel.configure`.

    Raises:
        SettingsError: If a setting is unknown, has a wrong value, or contradicts
            an earlier `configure`.
        ImportError: If a root span has to be made and the instrumentation is not
            installed.
    """

    def __init__(self, app: WSGIApplication, **settings: Any) -> None:
        self._app = app
        self._traced = app
        configured = configuration.apply(settings)
        self._enabled = configured is not None
        if configured is not None and not _is_instrumented(app):
            self._traced = _instrumented(app, tracing.tracer_provider_for(configured))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, as PEP 3333 has it."""
        if not self._enabled:
            return self._app(environ, start_response)
        hold = hold_request()
        try:
            with held(hold):
                if is_traced_outside():
                    body = self._app(environ, start_response)
                else:
                    with no_leftover_span():
                        body = self._traced(environ, start_response)
        except BaseException:
            release(hold)
            raise
        if isinstance(body, (list, tuple, environ.get("wsgi.file_wrapper") or ())):
            # Nothing of the application runs for these any more. Servers treat
            # them better if they see them as they are.
            release(hold)
            return body
        return _HeldBody(body, hold, environ.get(_BODY))


class _HeldBody:
    """A response body that runs in its request's profile until it is closed."""

    def __init__(
        self, body: Iterable[bytes], hold: Hold, application_body: _AbandonableBody | None
    ) -> None:
        self._body = body
        self._hold = hold
        self._application_body = application_body
        self._iterator: Iterator[bytes] | None = None
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with held(self._hold):
            if self._iterator is None:
                self._iterator = iter(self._body)
            return next(self._iterator)

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            with held(self._hold):
                if self._iterator is None and self._application_body is not None:
                    # The instrumentation's body is a generator that has not
                    # begun: closing it would end no span, nor close what the
                    # application returned. Let it begin, over nothing.
                    self._application_body.abandon()
                    for _ in self._body:
                        pass
                close = getattr(self._body, "close", None)
                if close is not None:
                    close()
        finally:
            release(self._hold)


class _AbandonableBody:
    """What the application returned, as the instrumentation sees it."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body
        self._is_abandoned = False

    def __iter__(self) -> Iterator[bytes]:
        return iter(()) if self._is_abandoned else iter(self._body)

    def abandon(self) -> None:
        """Have nothing to iterate any more."""
        self._is_abandoned = True

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


def _instrumented(app: WSGIApplication, tracer_provider: TracerProvider) -> WSGIApplication:
    try:
        from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
    except ImportError as error:
        raise missing_instrumentation("wsgi", error) from error

    def keep_body(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ[_BODY] = _AbandonableBody(app(environ, start_response))
        return body

    traced: WSGIApplication = OpenTelemetryMiddleware(
        keep_body, request_hook=_name_after_method, tracer_provider=tracer_provider
    )
    return traced


def _name_after_method(span: Span, environ: WSGIEnvironment) -> None:
    """Name a root span after the method alone: WSGI knows no route."""
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
