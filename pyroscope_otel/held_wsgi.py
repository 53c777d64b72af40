"""A WSGI request, held until its response is closed."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from pyroscope_otel.request import hold_request, release, run_held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pyroscope_otel.attribution import Hold

    # wsgiref.types has them from Python 3.11 on.
    WSGIEnvironment = dict[str, Any]
    StartResponse = Callable[..., Callable[[bytes], object]]
    WSGIApplication = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

BODY = "pyroscope_otel.body"
"""Where what is inside of an instrumentation leaves the application's body for us outside."""


def serve_held(
    app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Serve one request as its own code, unless it is held further out already."""
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
        chunk: bytes = run_held(self._hold, self._next)
        return chunk

    def _next(self) -> bytes:
        if self._iterator is None:
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
            # The instrumentation's body is a generator that has not begun:
            # closing it would end no span. Let it begin, over nothing.
            for _ in self._body:
                pass
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


class ApplicationBody:
    """What the application returned, to be iterated by others and closed by us.

    The instrumentation would close it outside of its span, twice if it is an
    iterator, not at all if the iteration has not begun, and would leave the span
    open if that raised.
    """

    def __init__(self, body: Iterable[bytes], inner: ApplicationBody | None = None) -> None:
        self._body = body
        self._inner = inner
        self._context = otel_context.get_current()
        self._is_finished = False

    def __iter__(self) -> Iterator[bytes]:
        # A chain, as it has no `close` for `yield from` to find.
        return iter(()) if self._is_finished else chain(self._body)

    def finish(self) -> None:
        """Close the body, in the context that the application was called in."""
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
            # That of a middleware further in, which nobody else closes.
            if self._inner is not None:
                self._inner.finish()
