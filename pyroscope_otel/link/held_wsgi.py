"""Holds a WSGI request until its response is closed."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from pyroscope_otel.link.held_request import hold_request, release, run_held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pyroscope_otel.link.attribution import Hold

    # wsgiref.types has these from Python 3.11.
    WSGIEnvironment = dict[str, Any]
    StartResponse = Callable[..., Callable[[bytes], object]]
    WSGIApplication = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

BODY = "pyroscope_otel.body"
"""The environ key under which code inside an instrumentation leaves the application's body for
the outer middleware."""


def serve_held(
    app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Serve one request through its mark, unless an outer middleware already holds it."""
    hold = hold_request(environ)
    if hold is None:
        return app(environ, start_response)
    try:
        body: Iterable[bytes] = run_held(hold, app, environ, start_response)
    except BaseException:
        release(hold)
        raise
    application_body: ApplicationBody | None = environ.pop(BODY, None)
    if is_ready(body, environ) or (application_body is None and hold.profile is None):
        release(hold)
        return body
    return _HeldBody(body, hold, application_body)


def is_ready(body: object, environ: WSGIEnvironment) -> bool:
    """Return whether this body runs no more application code.

    Servers can optimize such bodies if they get them unwrapped.
    """
    file_wrapper = environ.get("wsgi.file_wrapper")
    # It is a class in most servers, a function in uWSGI.
    return isinstance(body, (list, tuple)) or (
        isinstance(file_wrapper, type) and isinstance(body, file_wrapper)
    )


class _HeldBody:
    """A response body that runs in its request's profile until it is closed."""

    def __init__(
        self, body: Iterable[bytes], hold: Hold, application_body: ApplicationBody | None
    ) -> None:
        self._body = body
        self._hold = hold
        self._application_body = application_body
        self._iterator: Iterator[bytes] | None = None
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        iterator = self._iterator
        chunk: bytes
        if iterator is None:
            chunk = run_held(self._hold, self._first)
        else:
            chunk = run_held(self._hold, next, iterator)
        return chunk

    def _first(self) -> bytes:
        self._iterator = iter(self._body)
        return next(self._iterator)

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            run_held(self._hold, self._close)
        finally:
            release(self._hold)

    def _close(self) -> None:
        try:
            if self._application_body is not None:
                self._application_body.finish()
        finally:
            self._close_body()

    def _close_body(self) -> None:
        if self._iterator is None and self._application_body is not None:
            # The instrumentation's body is a generator that has not started, so closing it
            # would not end the span. Run it once, over an empty body.
            for _ in self._body:
                pass
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


class ApplicationBody:
    """The application's response body. The instrumentation iterates it, and we close it.

    The instrumentation would close it outside of its span, twice if it is an iterator, and not
    at all before the first iteration. If closing raised, the span would stay open.
    """

    def __init__(self, body: Iterable[bytes], inner: ApplicationBody | None = None) -> None:
        self._body = body
        self._inner = inner
        self._context = otel_context.get_current()
        self._is_finished = False

    def __iter__(self) -> Iterator[bytes]:
        # A chain has no `close` method that `yield from` could call.
        return iter(()) if self._is_finished else chain(self._body)

    def finish(self) -> None:
        """Close the body in the context in which the application was called."""
        self._is_finished = True
        close = getattr(self._body, "close", None)
        try:
            if close is not None:
                token = otel_context.attach(self._context)
                try:
                    close()
                finally:
                    otel_context.detach(token)
        finally:
            # The body of an inner middleware, which nothing else closes.
            if self._inner is not None:
                self._inner.finish()
