"""Following greenlets, without gevent."""

from __future__ import annotations

import contextvars
import gc
import threading
import weakref

import greenlet
import pytest
from opentelemetry import trace

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
        test_interleaved_greenlets(tracer, now)
        traced.append(greenlet.gettrace())

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
