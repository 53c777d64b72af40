"""Threads that the application starts itself."""

from __future__ import annotations

import gc
import threading

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.threading import ThreadingInstrumentor

from pyroscope_otel.link.marks import LABEL
from tests.support.spans import attach_and_leave
from tests.support.threads import in_threads


def thread_runs(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def timer_runs(function):
    timer = threading.Timer(0, function)
    timer.start()
    timer.join()


@pytest.mark.parametrize("runs", [thread_runs, timer_runs])
def test_plain_thread_belongs_to_no_request(runs, tracer, now):
    """Scenario 20: OpenTelemetry's context does not go there either."""
    seen = []
    with tracer.start_as_current_span("A"):
        runs(lambda: seen.append((trace.get_current_span().is_recording(), now())))
        assert now() == "A"
    ((recording, name),) = seen
    # Python 3.14 has an option that makes threads inherit the context.
    assert name == ("A" if recording else None)


@pytest.fixture
def _threading_instrumentor():
    ThreadingInstrumentor().instrument()
    yield
    ThreadingInstrumentor().uninstrument()


@pytest.mark.usefixtures("_threading_instrumentor")
@pytest.mark.parametrize("runs", [thread_runs, timer_runs])
def test_thread_with_its_starters_context_belongs_to_the_request(runs, tracer, now):
    """Scenario 20: with ThreadingInstrumentor."""
    seen = []
    with tracer.start_as_current_span("A"):
        runs(lambda: seen.append(now()))
        assert now() == "A"
    runs(lambda: seen.append(now()))
    assert seen == ["A", None]


@pytest.mark.usefixtures("_threading_instrumentor")
def test_thread_with_its_starters_context_outlives_the_request(tracer, now):
    """Scenarios 20 and 25: none from its next switch point on."""
    started, ended = threading.Event(), threading.Event()
    seen = []

    def work():
        seen.append(now())
        started.set()
        ended.wait()
        with tracer.start_as_current_span("child"):
            pass
        seen.append(now())

    with tracer.start_as_current_span("A"):
        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
    ended.set()
    thread.join()
    assert seen == ["A", None]


def test_root_ends_on_another_thread(tracer, now):
    """Scenario 25: none from the next switch point on, whichever that is."""
    with tracer.start_as_current_span("A", end_on_exit=False) as root:
        in_threads(root.end)
        otel_context.detach(otel_context.attach(otel_context.get_current()))
        assert now() is None


def test_root_ends_while_its_labels_are_added(tracer, now, recorder):
    """Scenario 26: we check again after adding."""
    span = tracer.start_span("A")
    times = []

    def end_elsewhere(*_):
        if not times:
            times.append(1)
            in_threads(span.end)

    recorder.before_add = end_elsewhere
    with trace.use_span(span):
        recorder.before_add = None
        assert times
        assert now() is None


def test_root_ends_while_its_last_label_is_added(tracer, now, recorder, attribution):
    """Scenario 26: in direct mode, `span_id` comes last."""
    span = tracer.start_span("A")
    last = LABEL if attribution == "stack" else "span_id"

    def end_elsewhere(key, _):
        if key == last:
            in_threads(span.end)

    recorder.before_add = end_elsewhere
    with trace.use_span(span):
        assert now() is None


def test_child_ends_while_labels_are_added(tracer, now, recorder):
    """Scenario 26: we check again, and its root span is open."""
    with tracer.start_as_current_span("A"):
        child = tracer.start_span("child")
        token = otel_context.attach(Context())

        def end_elsewhere(*_):
            recorder.before_add = None
            in_threads(child.end)

        recorder.before_add = end_elsewhere
        otel_context.detach(token)
        assert recorder.before_add is None
        assert now() == "A"


@pytest.mark.parametrize("times", [1, 50])
def test_thread_dies_with_a_root_attached(times, tracer, now, recorder):
    """Scenario 27: the next thread with the same ident has no labels."""
    spans = []

    def dies():
        assert now() is None
        spans.append(attach_and_leave(tracer, "dead"))
        assert now() == "dead"

    for _ in range(times):
        in_threads(dies)
        assert recorder.left_behind() == {}
        in_threads(lambda: None if now() is None else pytest.fail(now()))
    for span in spans:
        span.end()


def test_thread_dies_of_an_exception(tracer, now, recorder):
    """Scenario 27: it leaves no labels."""

    def dies():
        attach_and_leave(tracer, "dead").end()
        attach_and_leave(tracer, "dead")
        assert now() == "dead"
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        in_threads(dies)
    gc.collect()
    assert recorder.left_behind() == {}


def test_threads_with_roots_at_once(tracer, now):
    """Scenario 27: idents are reused while other threads have labels."""
    barrier = threading.Barrier(4, timeout=30)

    def work(name):
        for number in range(20):
            with tracer.start_as_current_span(f"{name}{number}"):
                barrier.wait()
                assert now() == f"{name}{number}"
        attach_and_leave(tracer, name)

    for _ in range(5):
        in_threads(*(lambda name=name: work(name) for name in "ABCD"))
