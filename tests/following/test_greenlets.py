"""Following greenlets, without gevent."""

from __future__ import annotations

import contextvars
import gc
import random
import threading
import weakref
from functools import partial

import greenlet
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel.link.held_request import hold_request, release, run_held
from tests.following.greenlet_switches import back, new_greenlet, switches
from tests.support.garbage import collected_by_hand

pytestmark = pytest.mark.usefixtures("no_trace_function")


def test_interleaved_greenlets(tracer, now):
    """Scenario 42: each belongs to its own request, and the greenlet between them to none."""

    def serve(name):
        for _ in range(3):
            assert now() is None
            with tracer.start_as_current_span(name):
                assert now() == name
                back()
                assert now() == name
                with tracer.start_as_current_span("child"):
                    back()
                    assert now() == name
            back()
            seen.append(name)

    seen = []
    both = [new_greenlet(lambda name=name: serve(name)) for name in ("one", "two")]
    while not all(each.dead for each in both):
        for each in both:
            each.switch()
            assert now() is None
    assert sorted(seen) == ["one"] * 3 + ["two"] * 3


def test_greenlet_made_inside_a_root(tracer, now):
    """Scenario 43: it starts with its own context."""

    def child():
        seen.append(now())
        back()
        seen.append(now())

    seen = []
    with tracer.start_as_current_span("root"):
        made = new_greenlet(child)
        made.switch()
        assert now() == "root"
        made.switch()
        assert now() == "root"
    assert seen == [None, None]
    assert now() is None


def test_greenlet_that_shares_the_context(tracer, now):
    """SQLAlchemy runs the sync part of a task in one."""
    with tracer.start_as_current_span("root"):
        made = greenlet.greenlet(now)
        made.gr_context = contextvars.copy_context()
        assert made.switch() == "root"
        assert now() == "root"


def test_greenlet_that_raises(tracer, now):
    """The exception arrives in its parent."""

    def fail():
        with tracer.start_as_current_span("inner"):
            raise LookupError

    with tracer.start_as_current_span("outer"):
        made = new_greenlet(fail)
        with pytest.raises(LookupError):
            made.switch()
        assert now() == "outer"
    assert now() is None


def test_greenlet_that_is_thrown_into(tracer, now):
    def wait():
        with tracer.start_as_current_span("inner"):
            try:
                back()
            except LookupError:
                seen.append(now())
                raise

    seen = []
    with tracer.start_as_current_span("outer"):
        made = new_greenlet(wait)
        made.switch()
        assert now() == "outer"
        with pytest.raises(LookupError):
            made.throw(LookupError)
        assert now() == "outer"
    assert seen == ["inner"]


def test_greenlet_dropped_inside_a_span(tracer, now):
    """It is killed and its span ends. The code that dropped it keeps its own labels."""

    def wait():
        with tracer.start_as_current_span("inner"):
            back()

    with tracer.start_as_current_span("outer"):
        made = new_greenlet(wait)
        made.switch()
        assert now() == "outer"
        del made
        assert now() == "outer"
    assert now() is None


def test_each_thread_has_its_own_trace_function(tracer, now):
    """Scenario 45: in a second OS thread."""

    def thread():
        traced.append(greenlet.gettrace())
        with tracer.start_as_current_span("root"):
            traced.append(greenlet.gettrace())
        test_interleaved_greenlets(tracer, now)

    traced = []
    assert greenlet.gettrace() is None
    started = threading.Thread(target=thread, daemon=True)
    started.start()
    started.join()
    assert traced[0] is None
    assert traced[1] is not None
    assert greenlet.gettrace() is None


def test_thread_without_labels_is_not_traced(recorder):
    assert recorder.now() == {}
    new_greenlet(int).switch()
    assert greenlet.gettrace() is None


def test_thread_is_traced_while_a_greenlet_needs_a_label(tracer, attribution):
    """In direct mode, any greenlet may need one from its next switch on."""

    def serve():
        with tracer.start_as_current_span("root"):
            back()

    made = new_greenlet(serve)
    made.switch()
    new_greenlet(int).switch()
    assert greenlet.gettrace() is not None
    made.switch()
    new_greenlet(int).switch()
    assert (greenlet.gettrace() is None) is (attribution == "stack")


def test_held_request_under_a_foreign_span(tracer, now):
    """Each time it is resumed, a label says that the request's mark does not count."""
    foreign = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))

    def serve():
        hold = hold_request({})
        run_held(hold, code)
        release(hold)

    def code():
        with tracer.start_as_current_span("held"), trace.use_span(foreign):
            for _ in range(3):
                assert now() is None
                back()
        assert now() == "held"

    def by_hand():
        with tracer.start_as_current_span("by hand"):
            assert now() == "by hand"
            back()
            assert now() == "by hand"

    held = new_greenlet(serve)
    while not held.dead:
        held.switch()
        other = new_greenlet(by_hand)
        other.switch()
        other.switch()


def test_greenlets_in_random_turns(tracer, now):
    """Requests held and by hand, with spans, further roots and greenlets inside, at any depth."""
    for seed in range(150):
        turns = random.Random(seed)  # noqa: S311  repeatable turns
        requests = [new_greenlet(partial(_serve, turns, tracer, now)) for _ in range(3)]
        while requests:
            request = turns.choice(requests)
            request.switch()
            assert now() is None, seed
            if request.dead:
                requests.remove(request)


def _serve(turns, tracer, now):
    held = turns.random() < 0.5
    hold = hold_request({}) if held else None

    def code():
        name = f"root {turns.random()}"
        with tracer.start_as_current_span(name):
            _wander(turns, tracer, now, {name})

    if hold is None:
        code()
    else:
        run_held(hold, code)
        release(hold)


def _wander(turns, tracer, now, expected, depth=0):
    """Take random turns. At each point, a sample has one of the expected names."""
    for _ in range(turns.randint(1, 3)):
        assert now() in expected
        choice = turns.randrange(4) if depth < 3 else 0
        if choice == 0:
            back()
        elif choice == 1:
            with tracer.start_as_current_span("child"):
                _wander(turns, tracer, now, expected, depth + 1)
        elif choice == 2:
            name = f"root {turns.random()}"
            with tracer.start_as_current_span(name, otel_context.Context()):
                _wander(turns, tracer, now, {name}, depth + 1)
        else:
            # In a held request it has no label until a span becomes current in it.
            inside = partial(_wander, turns, tracer, now, expected | {None}, depth + 1)
            inner = greenlet.greenlet(inside)
            inner.gr_context = contextvars.copy_context()
            while not inner.dead:
                inner.switch()
                assert now() in expected
        assert now() in expected


def test_greenlet_is_not_kept(tracer, now):
    """The trace function keeps no reference to it."""

    def serve():
        with tracer.start_as_current_span("served"):
            back()
        return now()

    made = new_greenlet(serve)
    made.switch()
    made.switch()
    gone = weakref.ref(made)
    gc.disable()
    try:
        del made
        assert gone() is None
    finally:
        gc.enable()


def test_memory_does_not_grow(tracer, now):
    with collected_by_hand():
        for _ in range(1_000):
            assert all(switches(tracer, now))
        assert gc.collect() == 0
    assert trace.get_current_span() is trace.INVALID_SPAN
