"""A request that a middleware holds."""

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
    """Hold a request, as a middleware does."""
    hold = hold_request({})
    with held(hold):
        yield hold
    release(hold)


def test_hold_takes_the_first_root_in_the_request(tracer, now, request_hold):
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
    # The id stays known.
    assert request_hold.profile_id == profile_of_span(first).id
    with tracer.start_as_current_span("third"):
        assert now() == "third"
    assert now() is None


@pytest.mark.parametrize("name", ["dropped", "record only"])
def test_root_inside_an_unsampled_request_does_not_take_the_hold(choosy, now, request_hold, name):
    """Scenarios 33, 36: the request belongs to none, the message's span to itself."""
    with choosy.start_as_current_span(name):
        with choosy.start_as_current_span("message", otel_context.Context()):
            assert now() == "message"
        assert now() is None
    assert request_hold.profile is None
    assert now() is None


def test_root_below_an_unsampled_span_takes_the_hold(choosy, now, request_hold):
    """A middleware's span that the sampler drops, outside of the request's root span."""
    with choosy.start_as_current_span("dropped"), choosy.start_as_current_span("root") as root:
        assert now() == "root"
    assert request_hold.profile is profile_of_span(root)
    assert now() == "root"


def test_root_inside_the_request_root_does_not_take_the_hold(tracer, now, request_hold):
    """Scenario 33: a message's span inside a request's span."""
    with (
        tracer.start_as_current_span("request") as request,
        tracer.start_as_current_span("message", otel_context.Context()),
    ):
        assert now() == "message"
    assert request_hold.profile is profile_of_span(request)
    assert now() == "request"


def test_request_held_inside_a_root_belongs_to_that_root(tracer, now):
    """The root span started before the middleware was reached."""
    with tracer.start_as_current_span("request", end_on_exit=False) as request:
        hold = hold_request({})
        request.end()
        assert hold.profile is profile_of_span(request)
        assert now() == "request"
        release(hold)
        assert now() is None


def test_closing_twice_releases_the_profile_once(tracer, now):
    """Other holds may keep the profile open."""
    with tracer.start_as_current_span("root") as root:
        one, other = hold_request({}), hold_request({})
    one.close()
    one.close()
    assert profile_of_span(root).is_open()
    other.close()
    assert not profile_of_span(root).is_open()
    assert now() is None


def test_closed_hold_takes_no_root(tracer, now, request_hold):
    release(request_hold)
    with tracer.start_as_current_span("late") as late:
        assert now() == "late"
    assert not profile_of_span(late).is_open()
    assert request_hold.profile_id is None
    assert now() is None


def test_ended_span_that_is_still_current_is_held(tracer, now, request_hold):
    """Scenario 30: contrib's ASGI middleware leaves the ended span current."""
    with tracer.start_as_current_span("request", end_on_exit=False) as request:
        request.end()
        assert now() == "request"
        # A child span of a held request is not a new root span.
        with tracer.start_as_current_span("child") as child:
            assert profile_of_span(child) is profile_of_span(request)
            assert now() == "request"
        release(request_hold)
        assert now() is None
        # A child span of a request that is no longer held is one (scenario 10).
        with tracer.start_as_current_span("next"):
            assert now() == "next"
        assert now() is None


def test_guest_of_a_held_request_is_open_while_it_is_held(tracer, now, request_hold):
    with tracer.start_as_current_span("request") as request:
        pass
    guest = guest_of_the_running_code()
    assert guest.profile is profile_of_span(request)
    assert guest.if_open() is guest
    release(request_hold)
    assert guest.if_open() is None
    assert now() is None


@pytest.mark.usefixtures("recorder", "without_garbage_collector")
def test_hold_keeps_no_span_alive(tracer, request_hold):
    root = tracer.start_span("root")
    gone = weakref.ref(root)
    root.end()
    del root
    assert gone() is None
    assert request_hold.if_open() is request_hold
    assert request_hold.profile.is_open()


def start_response(tracer, now, chunks):
    """Serve a body after its root span, as under the instrumentations of Django and Flask."""

    def application(_environ, _start_response):
        with tracer.start_as_current_span("request"):
            assert now() == "request"
        return chunks

    return serve_held(application, {}, None)


def test_streaming_body_belongs_to_its_request(tracer, now):
    """Scenario 41: in each chunk the request, between chunks and after close none."""

    def chunks():
        for _ in range(3):
            seen.append(now())
            yield b"chunk"

    seen = []
    body = start_response(tracer, now, chunks())
    assert now() is None
    for _ in body:
        assert now() is None
        # The server may serve other requests in between.
        with tracer.start_as_current_span("other"):
            assert now() == "other"
    assert seen == ["request"] * 3
    body.close()
    assert now() is None


def test_streaming_body_closed_on_another_thread(tracer, now):
    """Scenario 41: the closing thread keeps its own labels, and the first thread has none."""

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


def test_streaming_body_that_raises(tracer, now):
    """Scenario 41: the error arrives, and no label stays."""

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
