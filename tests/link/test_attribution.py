"""Which profile code belongs to: what it inherits, and the rule wherever it is written out."""

import contextvars
import gc
import threading
import weakref

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context

from pyroscope_otel.link import attribution
from pyroscope_otel.link.attribution import (
    INHERITED,
    Guest,
    current_owner,
    current_span_ref,
    owner_in,
    owner_of_span,
)
from pyroscope_otel.link.held_request import hold_request, release
from pyroscope_otel.link.held_wsgi import serve_held
from pyroscope_otel.link.switch import clear_label, follow_context, follow_current, run_in_context
from tests.support.held import held
from tests.support.span_profiles import profile_of_span


@pytest.fixture
def without_garbage_collector():
    """What goes, goes by its reference count."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def _nothing_is_attached():
    """An empty context that another test left would have nothing inherited."""
    outside = otel_context.attach(otel_context.set_value("outside", value=True))
    yield
    otel_context.detach(outside)


def name_of(owner):
    return None if owner is None else owner.profile.name


def guest_of_the_running_code():
    """What a job that is submitted now has."""
    return Guest(current_owner(), current_span_ref())


# The rule stands in four places, two of them, in `switch`, for speed.


def no_context(_tracer):
    pass


def empty_context(_tracer):
    otel_context.attach(otel_context.Context())


def baggage_alone(_tracer):
    otel_context.attach(baggage.set_baggage("tenant", "7"))


def open_root(tracer):
    otel_context.attach(trace.set_span_in_context(tracer.start_span("root")))


def child_ended(tracer):
    global never_ended  # noqa: PLW0603  a root that nobody has is no longer open
    open_root(tracer)
    never_ended = trace.get_current_span()
    child = tracer.start_span("child")
    child.end()
    otel_context.attach(trace.set_span_in_context(child))


def ended_root(tracer):
    open_root(tracer)
    trace.get_current_span().end()


def child_of_ended_root(tracer):
    root = tracer.start_span("root")
    child = tracer.start_span("child", trace.set_span_in_context(root))
    root.end()
    otel_context.attach(trace.set_span_in_context(child))


def invalid_span(_tracer):
    otel_context.attach(trace.set_span_in_context(trace.INVALID_SPAN))


def baggage_over_root(tracer):
    open_root(tracer)
    baggage_alone(tracer)


def empty_over_root(tracer):
    open_root(tracer)
    empty_context(tracer)


def leave():
    """Leave nothing on the thread: that a context is left, nobody tells us."""
    otel_context.attach(otel_context.Context())


@pytest.mark.parametrize(
    ("enter", "own", "inherits"),
    [
        (no_context, None, True),
        (baggage_alone, None, True),
        (empty_context, None, False),
        (invalid_span, None, False),
        (open_root, "root", False),
        (child_ended, "root", False),
        (ended_root, None, False),
        (child_of_ended_root, "root", False),
        (baggage_over_root, "root", False),
        (empty_over_root, None, False),
    ],
)
@pytest.mark.parametrize("holds", [False, True], ids=["alone", "inherits"])
@pytest.mark.parametrize("attribution", ["stack", "thread"])
def test_the_rule(tracer, now, enter, own, inherits, holds):  # noqa: PLR0913, PLR0917
    """Scenarios 30, 38: the same answer in all places, also from outside the context."""
    submitted = tracer.start_span("submitted", otel_context.Context())
    right = own
    if holds and inherits:
        right = "submitted"

    def prepare():
        if holds:
            INHERITED.set(owner_of_span(submitted))
        enter(tracer)

    def check():
        prepare()
        assert name_of(current_owner()) == right
        clear_label()
        follow_current()
        assert now() == right
        clear_label()
        assert run_in_context(None, now) == right
        leave()

    contextvars.Context().run(check)
    context = contextvars.Context()
    context.run(prepare)
    clear_label()
    assert name_of(owner_in(context)) == right
    follow_context(context)
    assert now() == right
    clear_label()
    assert run_in_context(context, context.run, now) == right
    context.run(leave)


def test_a_runtime_context_without_a_context_variable_is_refused(monkeypatch):
    class Elsewhere:
        def attach(self, context):
            self.context = context

    monkeypatch.setattr(otel_context, "_RUNTIME_CONTEXT", Elsewhere())
    with pytest.raises(RuntimeError, match="OTEL_PYTHON_CONTEXT"):
        attribution._find_context_variable()


# What a job inherits: more of it in `test_guests`


def test_a_guest_is_welcome_while_its_span_is_open(tracer, now):
    """The root has ended, the span below it that submitted the job has not."""
    root = tracer.start_span("root")
    child = tracer.start_span("child", trace.set_span_in_context(root))
    with trace.use_span(child):
        guest = guest_of_the_running_code()
        root.end()
        assert guest.profile is profile_of_span(root)
        assert guest.if_open() is guest
        child.end()
        assert guest.if_open() is None
        assert now() is None


@pytest.mark.usefixtures("recorder")
def test_a_guest_is_welcome_while_its_root_is_open(tracer):
    with tracer.start_as_current_span("root") as root:
        with tracer.start_as_current_span("child"):
            guest = guest_of_the_running_code()
        assert guest.profile is profile_of_span(root)
        assert guest.if_open() is guest
    assert guest.if_open() is None


@pytest.mark.usefixtures("recorder", "without_garbage_collector")
def test_a_guest_keeps_no_request_alive(tracer):
    """A job that runs for ever must not keep a finished request, nor an unfinished one."""
    root = tracer.start_span("root")
    with trace.use_span(root):
        child = tracer.start_span("child")
        with trace.use_span(child):
            guest = guest_of_the_running_code()
    owner = owner_of_span(child)
    gone = weakref.ref(root), weakref.ref(child)
    assert guest.if_open() is guest
    del root, child, owner
    assert [span() for span in gone] == [None, None]
    assert guest.if_open() is None


@pytest.mark.usefixtures("recorder")
def test_a_job_s_own_jobs_inherit_what_it_inherits(tracer):
    with tracer.start_as_current_span("root") as root:
        outer = guest_of_the_running_code()

        def job():
            INHERITED.set(outer)
            return guest_of_the_running_code()

        inner = contextvars.Context().run(job)
        assert inner.profile is profile_of_span(root)
        assert inner.if_open() is inner
    assert inner.if_open() is None


# A request that a middleware holds open


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
