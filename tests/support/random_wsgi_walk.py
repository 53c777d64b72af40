"""WSGI requests that take random turns, and check at each point whom a sample would belong to."""

from __future__ import annotations

import contextlib
import itertools
from concurrent.futures import ThreadPoolExecutor

from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel.link.held_wsgi import serve_held
from tests.support.walk import DEPTH, Walk


def is_in_span():
    return trace.get_current_span().is_recording()


class RandomWsgiWalk(Walk):
    """Requests, and requests inside them, whose bodies are lists and generators."""

    def serve(self):
        for _ in range(3):
            self._request(None, 0)
            self._check(None)

    def _walk(self, name, depth):
        steps = [self._check]
        if depth < DEPTH:
            steps += (self._in_child, self._in_root, self._in_job, self._request, self._request)
        for _ in range(self._random.randint(1, 3)):
            self._check(name)
            self._random.choice(steps)(name, depth + 1)
            self._check(name)

    def _in_child(self, name, depth):
        if is_in_span():
            with self._tracer.start_as_current_span("child"):
                self._walk(name, depth)

    def _in_root(self, _name, depth):
        with self._new_root() as name:
            self._walk(name, depth)

    def _in_job(self, name, depth):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(self._walk, name, depth).result()

    def _request(self, name, depth):
        """Serve a request. Inside another one, it is an in-process client's."""
        app = self._random.choice((self._answer, self._stream, self._stream_in_root, self._fail))

        def serve(_environ, _start_response):
            return app(name, depth + 1)

        with contextlib.suppress(LookupError):
            self._read(serve_held(serve, {}, None), name, depth + 1)

    def _read(self, body, name, depth):
        """Read a body, perhaps not to its end."""
        with contextlib.closing(body) if hasattr(body, "close") else contextlib.nullcontext():
            for chunk in itertools.islice(body, self._random.choice((1, 2, 9))):
                # A body can leave its root span current.
                self._walk(chunk or name, depth + 1)
        self._check(name)

    def _answer(self, name, depth):
        held = self._handle(name, depth)
        self._check(held)
        return [""]

    def _stream(self, name, depth):
        """Stream after the request's root span has ended."""
        return self._produce(self._handle(name, depth), depth)

    def _produce(self, held, depth):
        for _ in range(3):
            self._walk(held, depth + 1)
            yield ""

    def _stream_in_root(self, _name, depth):
        """Stream while the root span is current, as OpenTelemetry's middleware does."""
        root = self._new_name()
        span = self._tracer.start_span(root, otel_context.Context())
        with trace.use_span(span):
            self._walk(root, depth)
        return self._produce_in(span, root, depth)

    def _produce_in(self, span, root, depth):
        with trace.use_span(span, end_on_exit=True):
            for _ in range(3):
                self._walk(root, depth + 1)
                yield root

    def _fail(self, name, depth):
        self._handle(name, depth)
        raise LookupError

    def _handle(self, name, depth):
        """Handle a request in a root span. Return the name of what follows in the request.

        A request inside of an open span belongs to the root span above.
        """
        is_inside = is_in_span()
        with self._new_root() as root:
            self._walk(root, depth)
        return name if is_inside else root
