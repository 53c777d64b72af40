"""WSGI middleware: for Flask, Django, Bottle, Pyramid and any other WSGI application."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel import configuration, tracing
from pyroscope_otel.protocol import refuse_other_protocol
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
    from typing_extensions import Unpack

    from pyroscope_otel.arguments import Arguments
    from pyroscope_otel.attribution import Hold

    # wsgiref.types has them from Python 3.11 on.
    WSGIEnvironment = dict[str, Any]
    StartResponse = Callable[..., Callable[[bytes], object]]
    WSGIApplication = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

__all__ = ("PyroscopeMiddleware",)

_BODY = "pyroscope_otel.body"
"""Where what is inside of the instrumentation leaves the application's body for us outside."""


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
        TypeError: If it is an ASGI application.
    """

    def __init__(self, app: WSGIApplication, **settings: Unpack[Arguments]) -> None:
        refuse_other_protocol(app, "wsgi")
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
        application_body = None
        try:
            with held(hold):
                if is_traced_outside():
                    body = self._app(environ, start_response)
                    if not _is_ready(body, environ):
                        body = application_body = _ApplicationBody(body)
                else:
                    with no_leftover_span():
                        body = self._traced(environ, start_response)
                    application_body = environ.pop(_BODY, None)
        except BaseException:
            release(hold)
            raise
        if _is_ready(body, environ):
            release(hold)
            return body
        return _HeldBody(body, hold, application_body)


def _is_ready(body: object, environ: WSGIEnvironment) -> bool:
    """Return whether nothing of the application runs any more for this body.

    Servers treat such bodies better if they see them as they are.
    """
    file_wrapper = environ.get("wsgi.file_wrapper")
    # A class in most servers, a function in uWSGI.
    return isinstance(body, (list, tuple)) or (
        isinstance(file_wrapper, type) and isinstance(body, file_wrapper)
    )


class _HeldBody:
    """A response body that runs in its request's profile until it is closed."""

    def __init__(
        self, body: Iterable[bytes], hold: Hold, application_body: _ApplicationBody | None
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
                try:
                    if self._application_body is not None:
                        self._application_body.finish()
                finally:
                    self._close_body()
        finally:
            release(self._hold)

    def _close_body(self) -> None:
        if self._iterator is None and self._application_body is not None:
            # The instrumentation's body is a generator that has not begun:
            # closing it would end no span. Let it begin, over nothing.
            for _ in self._body:
                pass
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


class _ApplicationBody:
    """What the application returned, to be iterated by others and closed by us.

    The instrumentation would close it outside of its span, twice if it is an
    iterator, not at all if the iteration has not begun, and would leave the span
    open if that raised.
    """

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body
        self._context = otel_context.get_current()
        self._is_finished = False

    def __iter__(self) -> Iterator[bytes]:
        # A chain, as it has no `close` for `yield from` to find.
        return iter(()) if self._is_finished else chain(self._body)

    def finish(self) -> None:
        """Close the body, in the context that the application was called in."""
        self._is_finished = True
        close = getattr(self._body, "close", None)
        if close is None:
            return
        token = otel_context.attach(self._context)
        try:
            close()
        finally:
            otel_context.detach(token)


def _instrumented(app: WSGIApplication, tracer_provider: TracerProvider) -> WSGIApplication:
    try:
        from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
    except ImportError as error:
        raise missing_instrumentation("wsgi", error) from error

    def keep_body(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            body = environ[_BODY] = _ApplicationBody(app(environ, start_response))
        except Exception:
            raise
        except BaseException:
            # A worker's timeout, a greenlet's end: the instrumentation does
            # nothing about those.
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
            # As above: it would leave the caller's span current, on this thread.
            otel_context.attach(before)
            raise

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
