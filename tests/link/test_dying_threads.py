"""A thread removes its labels when it ends."""

from __future__ import annotations

import gc
import threading

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel.link import switch, thread_labels
from pyroscope_otel.link.thread_labels import carried, this_thread
from tests.link.label_changes import (
    ONE,
    TWO,
    carry,
    each_mode,
    run_in_thread,
)

pytestmark = pytest.mark.usefixtures("clean_thread")


@pytest.fixture
def tracer(silent_tracer):
    """Return a tracer without an exporter, whose own switches would hide a missing one."""
    return silent_tracer


def test_dying_thread_removes_its_labels(recorder):
    """Scenario 27: otherwise the next thread with the same ident would inherit them."""
    run_in_thread(lambda: carry(ONE))
    assert recorder.left_behind() == {}
    assert recorder.log[-3:] == [
        ("remove", "span_id", "1" * 16),
        ("remove", "trace_id", "1" * 32),
        ("remove", "span_name", "one"),
    ]


def test_next_thread_with_the_same_ident_has_no_labels(recorder):
    """Scenario 27: idents are reused at once."""

    def die_tagged():
        seen.append((threading.get_ident(), recorder.now(), carried()))
        carry(ONE)

    seen = []
    for _ in range(50):
        run_in_thread(die_tagged)
    assert len({ident for ident, _, _ in seen}) < len(seen)
    assert all(labels == {} and known is None for _, labels, known in seen)


@each_mode
def test_thread_that_dies_inside_a_request(tracer, recorder, now):
    """Scenario 27: the labels come from an attached span."""

    def die_tagged():
        otel_context.attach(trace.set_span_in_context(root))
        seen.append(now())

    seen = []
    root = tracer.start_span("root")
    run_in_thread(die_tagged)
    assert seen == ["root"]
    assert recorder.left_behind() == {}
    root.end()


def test_dying_thread_needs_no_garbage_collector(recorder):
    """Scenario 27."""
    gc.disable()
    try:
        run_in_thread(lambda: carry(ONE))
        assert recorder.left_behind() == {}
    finally:
        gc.enable()


def test_dying_thread_that_a_traceback_refers_to(recorder):
    """Scenario 27: our frames refer to the thread, and the application keeps an exception."""
    kept = []

    def die_tagged():
        carry(ONE)
        kept.append(this_thread())

    run_in_thread(die_tagged)
    assert recorder.left_behind() == {}


@pytest.mark.parametrize("made", ["Thread", "_Farewell"])
def test_finalizer_runs_while_a_thread_is_registered(tracer, now, recorder, monkeypatch, made):
    """Scenarios 27 and 50: the finalizer switches on a thread that is not registered yet."""

    class Interrupted(getattr(thread_labels, made)):
        __slots__ = ()

        def __init__(self, *args):
            super().__init__(*args)
            if actions:
                actions.pop()()

    def request():
        with tracer.start_as_current_span("root"):
            seen.append(now())
        seen.append(now())
        otel_context.attach(trace.set_span_in_context(late))

    seen, actions = [], [switch.follow_current]
    late = tracer.start_span("late")
    monkeypatch.setattr(thread_labels, made, Interrupted)
    run_in_thread(request)
    assert actions == []
    assert seen == ["root", None]
    assert recorder.left_behind() == {}
    late.end()


@each_mode
def test_finalizer_switches_on_a_dying_thread(tracer, recorder, monkeypatch):
    """Scenarios 27 and 50: while the labels are removed, their span is still current."""

    def remove(key, value):
        if followed:
            followed.pop()()
        return recorder.remove(key, value)

    def die_tagged():
        otel_context.attach(trace.set_span_in_context(root))

    followed = [switch.follow_current]
    root = tracer.start_span("root")
    monkeypatch.setattr(thread_labels, "remove_thread_tag", remove)
    run_in_thread(die_tagged)
    assert followed == []
    assert recorder.left_behind() == {}
    root.end()


def test_thread_state_freed_on_another_thread_keeps_that_thread_labels(recorder):
    """In a forked child, the state of the other threads is freed on the thread that is left."""

    def other():
        carry(ONE)
        theirs.append(thread_labels._local.farewell)
        carry(None)

    theirs = []
    run_in_thread(other)
    farewell = theirs.pop()
    farewell._thread.labels = ONE
    carry(TWO)
    calls = len(recorder.log)
    del farewell
    assert len(recorder.log) == calls
    assert recorder.now() == dict(TWO[0])
