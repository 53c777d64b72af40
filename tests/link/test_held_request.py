"""Holding a request: what the adapters share."""

from __future__ import annotations

from contextvars import Context

import pytest
from opentelemetry import context as otel_context

from pyroscope_otel.link.held_request import hold_request, release, run_held, run_held_async
from pyroscope_otel.link.held_wsgi import serve_held


class Suspended:
    """An awaitable that stays suspended."""

    def __await__(self):
        yield


def test_held_coroutine_closed_in_another_context(recorder):
    coroutine = run_held_async(hold_request({}), Suspended)
    Context().run(coroutine.send, None)
    Context().run(coroutine.close)
    assert recorder.left_behind() == {}


def test_request_is_held_once():
    request = {}
    hold = hold_request(request)
    assert hold is not None
    assert hold_request(request) is None
    release(hold)
    # A test client may reuse the dict.
    assert hold_request(request) is not None


def test_held_function_returns_raises_and_belongs_to_the_request(silent_tracer, now):
    """Its stack names the request, also before and after the root span."""

    def endpoint(*arguments):
        with silent_tracer.start_as_current_span("root"):
            seen.append(now())
        seen.append(now())
        if not arguments:
            raise LookupError
        return arguments

    def serve(*arguments):
        hold = hold_request({})
        try:
            return run_held(hold, endpoint, *arguments)
        finally:
            release(hold)
            seen.append(now())

    seen = []
    outside = otel_context.attach(otel_context.set_value("outside", value=True))
    assert serve(1, 2) == (1, 2)
    with pytest.raises(LookupError):
        serve()
    otel_context.detach(outside)
    assert seen == ["root", "root", None] * 2


def test_root_span_that_a_body_keeps_current_between_chunks(silent_tracer, now):
    def produce():
        with silent_tracer.start_as_current_span("consumer", otel_context.Context()):
            for _ in range(2):
                seen.append(now())
                yield b"chunk"
        seen.append(now())

    def app(_environ, _start_response):
        with silent_tracer.start_as_current_span("request"):
            return produce()

    seen = []
    body = serve_held(app, {}, None)
    seen += [now() for _ in body]
    body.close()
    assert seen == ["consumer", "consumer", "request", "consumer", "consumer"]
