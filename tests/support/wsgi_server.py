"""A WSGI server as an application sees it."""

from __future__ import annotations

import contextvars
from wsgiref.util import setup_testing_defaults

from opentelemetry import trace

from tests.support.journal import PATH


def environ(path=PATH, method="GET", **more):
    """Return the environment of a request."""
    made = {
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "REQUEST_METHOD": method,
        "QUERY_STRING": "",
        **more,
    }
    setup_testing_defaults(made)
    return made


class Exchange:
    """One request.

    Args:
        take: How many chunks to take before the client disconnects. None: all.
            0: iteration begins, and takes none.
        iterate: Whether iteration begins at all.
    """

    def __init__(self, take=None, *, iterate=True):
        self._take = take
        self._iterate = iterate
        self.statuses = []
        self.chunks = []

    def start_response(self, status, headers, exc_info=None):  # noqa: ARG002
        self.statuses.append(status)
        return self.chunks.append

    def serve(self, app, request=None):
        """Serve the request in the context that a thread has before its first request."""
        contextvars.copy_context().run(self._serve, app, environ() if request is None else request)

    def _serve(self, app, request):
        try:
            body = app(request, self.start_response)
            try:
                if self._iterate:
                    self._iterate_over(body)
            finally:
                if hasattr(body, "close"):
                    body.close()
        finally:
            assert trace.get_current_span() is trace.INVALID_SPAN

    def _iterate_over(self, body):
        chunks = iter(body)
        while self._take is None or len(self.chunks) < self._take:
            try:
                self.chunks.append(next(chunks))
            except StopIteration:
                return
