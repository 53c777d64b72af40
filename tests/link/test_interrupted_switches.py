"""A span ends, or the context changes, while the thread's labels change."""

from __future__ import annotations

import signal

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel.link import switch, thread_labels
from pyroscope_otel.link.attribution import INHERITED
from pyroscope_otel.link.held_request import hold_request, release
from tests.link.label_changes import (
    each_label,
    each_mode,
    run_in_thread,
)
from tests.support.held import held

pytestmark = pytest.mark.usefixtures("clean_thread")


@pytest.fixture
def tracer(silent_tracer):
    """Return a tracer without an exporter, whose own switches would hide a missing one."""
    return silent_tracer


@pytest.fixture
def interrupt(monkeypatch, attribution):
    """Return a function that sets what happens after labels are chosen and before they change."""

    def change(*decided):
        if actions:
            actions.pop()()
        return undisturbed(*decided)

    actions = []
    module = thread_labels if attribution == "thread" else switch
    undisturbed = module.change
    monkeypatch.setattr(module, "change", change)
    yield actions.append
    assert actions == []


def end_elsewhere(span):
    run_in_thread(span.end)


@each_mode
def test_root_ends_while_its_labels_are_added(tracer, recorder, now):
    """Scenario 26: after the check that it is open, before the label is added."""

    def end_root(_key, _value):
        recorder.before_add = None
        end_elsewhere(root)

    root = tracer.start_span("root")
    recorder.before_add = end_root
    with trace.use_span(root):
        assert now() is None


@each_label
def test_root_ends_before_each_label(tracer, recorder, now, key):
    """Scenario 26: whichever label it is."""

    def end_root(added, _value):
        if added == key:
            recorder.before_add = None
            end_elsewhere(root)

    root = tracer.start_span("root")
    recorder.before_add = end_root
    with trace.use_span(root):
        assert now() is None


@each_mode
def test_root_ends_just_before_its_labels_are_added(tracer, now, interrupt):
    """Scenario 26: after the check that it is open, before the change begins."""
    root = tracer.start_span("root")
    interrupt(lambda: end_elsewhere(root))
    with trace.use_span(root):
        assert now() is None


@pytest.fixture
def suspended(tracer):
    """Return a function that makes a generator suspended inside a span.

    Closing it detaches the span, as its finalizer does wherever the garbage collector runs.
    """

    def generator():
        with tracer.start_as_current_span("generator", otel_context.Context()):
            yield

    def make():
        suspended = generator()
        next(suspended)
        return suspended

    return make


@each_label
def test_finalizer_detaches_inside_the_hook(tracer, recorder, now, suspended, key):
    """Scenario 50: it detaches while the hook follows its context."""

    def finalise(added, _value):
        if added == key:
            recorder.before_add = None
            generator.close()

    root = tracer.start_span("root")
    generator = suspended()
    assert now() == "generator"
    recorder.before_add = finalise
    # Closed here, the generator resets the context to the one before it.
    token = otel_context.attach(trace.set_span_in_context(root))
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert now() is None
    # Out of order, this makes the ended generator's span current again.
    otel_context.detach(token)
    assert now() is None
    root.end()


@each_mode
def test_finalizer_detaches_before_the_labels_are_added(tracer, now, suspended, interrupt):
    """Scenario 50: after the context was read, before the change begins."""
    generator = suspended()
    root = tracer.start_span("root", otel_context.Context())
    interrupt(generator.close)
    otel_context.attach(trace.set_span_in_context(root))
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert now() is None
    root.end()


@each_mode
def test_finalizer_detaches_and_ends_no_span(tracer, now, interrupt):
    """Scenario 50: no span ends, but the context changes."""
    one = tracer.start_span("one", otel_context.Context())
    two = tracer.start_span("two", otel_context.Context())
    token = otel_context.attach(trace.set_span_in_context(one))
    interrupt(lambda: otel_context.detach(token))
    otel_context.attach(trace.set_span_in_context(two))
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert now() is None
    one.end()
    two.end()


@each_mode
def test_signal_handler_attaches_the_context_that_is_being_left(tracer, now, interrupt):
    """Scenario 50: the labels it needs are there, and are about to be removed."""
    root = tracer.start_span("root")
    context = trace.set_span_in_context(root)
    token = otel_context.attach(context)
    interrupt(lambda: otel_context.attach(context))
    otel_context.detach(token)
    assert trace.get_current_span() is root
    assert now() == "root"
    root.end()


@each_mode
def test_finalizer_renames_the_root(tracer, now, interrupt):
    """Scenario 50: the chosen labels are no longer the profile's."""
    root = tracer.start_span("root")
    interrupt(lambda: root.update_name("renamed"))
    with trace.use_span(root, end_on_exit=True):
        assert now() == "renamed"


@pytest.fixture
def hold(tracer):
    """Hold a request whose root span has ended."""
    hold = hold_request({})
    token = INHERITED.set(hold)
    tracer.start_span("held", otel_context.Context()).end()
    INHERITED.reset(token)
    # In an empty context, as around each test here, code inherits no request.
    outside = otel_context.attach(otel_context.set_value("outside", value=True))
    yield hold
    release(hold)
    otel_context.detach(outside)


@each_mode
def test_finalizer_releases_a_held_request(hold, now, interrupt):
    """Scenario 50: a body that was not read to its end is destroyed."""
    interrupt(lambda: release(hold))
    with held(hold):
        assert now() is None


@each_mode
def test_finalizer_leaves_a_held_request(tracer, hold, now, interrupt):
    """Scenario 50: the hook follows the body's context."""
    request = held(hold)
    request.__enter__()
    root = tracer.start_span("root")
    token = otel_context.attach(trace.set_span_in_context(root))
    assert now() == "root"
    interrupt(lambda: request.__exit__(None, None, None))
    otel_context.detach(token)
    assert now() is None
    root.end()


@each_mode
def test_signal_handler_enters_a_held_request(tracer, hold, now, interrupt):
    """Scenario 50: the request goes on when the handler returns."""
    request = held(hold)
    root = tracer.start_span("root")
    token = otel_context.attach(trace.set_span_in_context(root))
    interrupt(request.__enter__)
    otel_context.detach(token)
    assert now() == "held"
    request.__exit__(None, None, None)
    assert now() is None
    root.end()


@pytest.fixture
def on_signal():
    """Return a function that sets what a signal handler does."""
    previous = signal.getsignal(signal.SIGUSR1)

    def set_handler(handler):
        signal.signal(signal.SIGUSR1, lambda *_: handler())

    yield set_handler
    signal.signal(signal.SIGUSR1, previous)


@each_label
def test_signal_handler_attaches_inside_the_hook(tracer, recorder, now, on_signal, key):
    """Scenario 50: the span stays attached."""

    def interrupt(added, _value):
        if added == key:
            recorder.before_add = None
            signal.raise_signal(signal.SIGUSR1)

    root = tracer.start_span("root")
    late = tracer.start_span("late")
    tokens = []
    on_signal(lambda: tokens.append(otel_context.attach(trace.set_span_in_context(late))))
    recorder.before_add = interrupt
    outer = otel_context.attach(trace.set_span_in_context(root))
    assert now() == "late"
    otel_context.detach(tokens.pop())
    assert now() == "root"
    otel_context.detach(outer)
    assert now() is None


@each_label
def test_signal_handler_with_its_own_span(tracer, recorder, now, on_signal, key):
    """Scenario 50: it leaves the context as it was."""

    def interrupt(added, _value):
        if added == key:
            recorder.before_add = None
            signal.raise_signal(signal.SIGUSR1)

    def handler():
        with tracer.start_as_current_span("handler", otel_context.Context()):
            handled.append(trace.get_current_span().name)

    handled = []
    on_signal(handler)
    recorder.before_add = interrupt
    with tracer.start_as_current_span("root"):
        assert handled == ["handler"]
        assert now() == "root"
    assert now() is None


@each_label
def test_signal_handler_raises_inside_the_hook(tracer, recorder, now, on_signal, key):
    """Scenario 50: the application gets the exception, and no label stays."""

    def interrupt(added, _value):
        if added == key:
            recorder.before_add = None
            signal.raise_signal(signal.SIGUSR1)

    def handler():
        raise KeyboardInterrupt

    on_signal(handler)
    recorder.before_add = interrupt
    with pytest.raises(KeyboardInterrupt), tracer.start_as_current_span("root"):
        pytest.fail("the handler's exception did not arrive")
    # The span became current, and the interrupted code cannot undo that.
    root_is_lost = now()
    assert root_is_lost is None or trace.get_current_span().name == root_is_lost
    otel_context.attach(otel_context.Context())
    assert now() is None
    with tracer.start_as_current_span("next"):
        assert now() == "next"
    assert now() is None
    # Too many labels may be removed, never too few.
    assert all(wrong.startswith("remove") for wrong in recorder.wrong)
    recorder.wrong.clear()
