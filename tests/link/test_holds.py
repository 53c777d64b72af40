"""A request that a middleware holds open."""

from __future__ import annotations

import threading
import weakref

import pytest
from opentelemetry import context as otel_context

from pyroscope_otel.link.held_request import hold_request, release
from pyroscope_otel.link.held_wsgi import serve_held
from tests.support.held import held
from tests.support.span_profiles import guest_of_the_running_code, profile_of_span

pytestmark = pytest.mark.usefixtures("no_empty_context")


@pytest.fixture
def request_hold():
    """A request, as a middleware opens it."""
    hold = hold_request({})
    with held(hold):
        yield hold
    release(hold)


def test_a_hold_is_of_the_first_root_in_the_request(tracer, now, request_hold):
    assert request_hold.profile_id is None
    assert request_hold.profile is None
    assert now() is None
    with tracer.start_as_current_span("first") as first:
        pass
    assert now() == "first"
    with tracer.start_as_current_span("second"):
        assert now() == "second"
    assert request_hold.profile is profile_of_span(first)
    assert request_hold.profile_id == profile_of_span(first).id
    assert now() == "first"
    release(request_hold)
    assert now() is None
    assert request_hold.if_open() is None
    # Which it was remains to be known.
    assert request_hold.profile_id == profile_of_span(first).id
    with tracer.start_as_current_span("third"):
        assert now() == "third"
    assert now() is None


def test_a_root_inside_the_request_s_own_does_not_take_the_hold(tracer, now, request_hold):
    """Scenario 33: a message's span inside a request's."""
    with (
        tracer.start_as_current_span("request") as request,
        tracer.start_as_current_span("message", otel_context.Context()),
    ):
        assert now() == "message"
    assert request_hold.profile is profile_of_span(request)
    assert now() == "request"


def test_a_request_inside_a_span_is_that_one_s(tracer, now):
    """Its root had started before the middleware was reached."""
    with tracer.start_as_current_span("request", end_on_exit=False) as request:
        hold = hold_request({})
        request.end()
        assert hold.profile is profile_of_span(request)
        assert now() == "request"
        release(hold)
        assert now() is None


def test_closing_twice_is_closing_once(tracer, now):
    """The profile may be held by others."""
    with tracer.start_as_current_span("root") as root:
        one, other = hold_request({}), hold_request({})
    one.close()
    one.close()
    assert profile_of_span(root).is_open()
    other.close()
    assert not profile_of_span(root).is_open()
    assert now() is None


def test_a_closed_hold_takes_nothing(tracer, now, request_hold):
    release(request_hold)
    with tracer.start_as_current_span("late") as late:
        assert now() == "late"
    assert not profile_of_span(late).is_open()
    assert request_hold.profile_id is None
    assert now() is None


def test_an_ended_span_that_is_still_current_is_held(tracer, now, request_hold):
    """Scenario 30: contrib ASGI ends the span at the last body and leaves it current."""
    with tracer.start_as_current_span("request", end_on_exit=False) as request:
        request.end()
        assert now() == "request"
        # A child of a held request is no new root.
        with tracer.start_as_current_span("child") as child:
            assert profile_of_span(child) is profile_of_span(request)
            assert now() == "request"
        release(request_hold)
        assert now() is None
        # A child of one that is not held any more is (scenario 10).
        with tracer.start_as_current_span("next"):
            assert now() == "next"
        assert now() is None


def test_a_guest_of_a_held_request_is_welcome_while_it_is_held(tracer, now, request_hold):
    with tracer.start_as_current_span("request") as request:
        pass
    guest = guest_of_the_running_code()
    assert guest.profile is profile_of_span(request)
    assert guest.if_open() is guest
    release(request_hold)
    assert guest.if_open() is None
    assert now() is None


@pytest.mark.usefixtures("recorder", "without_garbage_collector")
def test_a_hold_keeps_no_span_alive(tracer, request_hold):
    root = tracer.start_span("root")
    gone = weakref.ref(root)
    root.end()
    del root
    assert gone() is None
    assert request_hold.if_open() is request_hold
    assert request_hold.profile.is_open()


def start_response(tracer, now, chunks):
    """Django's and Flask's instrumentations end the span before the body."""

    def application(_environ, _start_response):
        with tracer.start_as_current_span("request"):
            assert now() == "request"
        return chunks

    return serve_held(application, {}, None)


def test_wsgi_streaming(tracer, now):
    """Scenario 41: the root in each chunk, none before the first or after close."""

    def chunks():
        for _ in range(3):
            seen.append(now())
            yield b"chunk"

    seen = []
    body = start_response(tracer, now, chunks())
    assert now() is None
    for _ in body:
        assert now() is None
        # The server may serve others in between.
        with tracer.start_as_current_span("other"):
            assert now() == "other"
    assert seen == ["request"] * 3
    body.close()
    assert now() is None


def test_a_streaming_body_closed_on_another_thread(tracer, now):
    """Scenario 41: what the closing thread had stays, and the first has nothing."""

    def chunks():
        while True:
            seen.append(now())
            yield b"chunk"

    def close():
        with tracer.start_as_current_span("other"):
            body.close()
            seen.append(now())

    seen = []
    body = start_response(tracer, now, chunks())
    next(body)
    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
    assert seen == ["request", "other"]
    assert now() is None


def test_a_streaming_body_that_raises(tracer, now):
    """Scenario 41: the error arrives, and nothing is left."""

    def chunks():
        yield b"chunk"
        raise LookupError

    body = start_response(tracer, now, chunks())
    next(body)
    with pytest.raises(LookupError):
        next(body)
    assert now() is None
    body.close()
    assert now() is None
