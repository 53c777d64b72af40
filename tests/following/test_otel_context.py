"""Following OpenTelemetry's attach and detach."""

from __future__ import annotations

import contextvars
import logging
import threading

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext

from pyroscope_otel import following
from pyroscope_otel.link.profile import PROFILE_ID_ATTRIBUTE
from tests.support.span_profiles import profile_of_span

pytestmark = pytest.mark.usefixtures("nothing_stays_attached")


def attach(span):
    return otel_context.attach(trace.set_span_in_context(span))


def test_nested_spans(tracer, now):
    assert now() is None
    with tracer.start_as_current_span("root"):
        assert now() == "root"
        with tracer.start_as_current_span("child"):
            assert now() == "root"
        assert now() == "root"
    assert now() is None


def test_none_attached_as_a_context(tracer, now):
    """OpenTelemetry's extraction without a propagator returns None, and that is attached."""
    with tracer.start_as_current_span("root"):
        token = otel_context.attach(None)
        assert now() is None
        otel_context.detach(token)
        assert now() == "root"


def test_nested_roots(tracer, now):
    """Scenario 33: the inner request inside, the outer one after it."""
    with tracer.start_as_current_span("outer"):
        with tracer.start_as_current_span("inner", otel_context.Context()):
            assert now() == "inner"
        assert now() == "outer"
    assert now() is None


def test_exception_in_a_span(tracer, now):
    """Scenario 14: the same without an event loop."""
    with tracer.start_as_current_span("outer"):
        with (
            pytest.raises(LookupError),
            tracer.start_as_current_span("inner", otel_context.Context()),
        ):
            raise LookupError
        assert now() == "outer"
    assert now() is None


def test_other_context_values_change_nothing(tracer, now):
    """Scenario 38: baggage, suppression, anything else."""
    with tracer.start_as_current_span("root"):
        token = otel_context.attach(baggage.set_baggage("tenant", "7"))
        assert now() == "root"
        inner = otel_context.attach(otel_context.set_value("suppress_instrumentation", value=True))
        assert now() == "root"
        otel_context.detach(inner)
        assert now() == "root"
        otel_context.detach(token)
        assert now() == "root"
    assert now() is None


def test_empty_context_has_no_labels(tracer, now):
    """Scenario 38."""
    with tracer.start_as_current_span("root"):
        token = otel_context.attach(otel_context.Context())
        assert now() is None
        otel_context.detach(token)
        assert now() == "root"
    assert now() is None


def test_invalid_span_has_no_labels(tracer, now):
    """Scenario 38: instrumentations leave a trace with it."""
    with tracer.start_as_current_span("root"):
        with trace.use_span(trace.INVALID_SPAN):
            assert now() is None
        assert now() == "root"
    assert not hasattr(trace.INVALID_SPAN, "_pyroscope_owner")


def test_remote_span_alone_has_no_labels(tracer, now):
    """Scenario 34: also under a root span, and in its trace."""
    with tracer.start_as_current_span("root") as root:
        context = trace.SpanContext(root.context.trace_id, 8, is_remote=True)
        with trace.use_span(trace.NonRecordingSpan(context)):
            assert now() is None
        assert now() == "root"


def test_contexts_detached_out_of_order(tracer, now):
    """Scenario 39: as in OpenTelemetry, while the span is open."""
    one = tracer.start_span("one", otel_context.Context())
    two = tracer.start_span("two", otel_context.Context())
    first, second = attach(one), attach(two)
    assert now() == "two"
    otel_context.detach(first)
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert now() is None
    otel_context.detach(second)
    # The second token restores the context before it.
    assert trace.get_current_span() is one
    assert now() == "one"
    one.end()
    assert now() is None
    two.end()


def test_ended_root_becomes_current_again(tracer, now):
    """Scenario 39: an ended root span has no samples."""
    one = tracer.start_span("one", otel_context.Context())
    two = tracer.start_span("two", otel_context.Context())
    first, second = attach(one), attach(two)
    otel_context.detach(first)
    one.end()
    two.end()
    otel_context.detach(second)
    assert trace.get_current_span() is one
    assert now() is None


def test_detach_that_is_refused(tracer, now, caplog):
    """Scenario 15: OpenTelemetry logs it, and the context stays as it was."""
    tokens = []
    root = tracer.start_span("root")
    contextvars.copy_context().run(lambda: tokens.append(attach(root)))
    # No hook is called when a context is left.
    assert now() == "root"
    with caplog.at_level(logging.CRITICAL):
        otel_context.detach(tokens.pop())
    assert now() is None
    with tracer.start_as_current_span("closer", otel_context.Context()):
        contextvars.copy_context().run(lambda: tokens.append(attach(root)))
        assert now() == "root"
        with caplog.at_level(logging.CRITICAL):
            otel_context.detach(tokens.pop())
        assert now() == "closer"
    root.end()


def test_generator_suspended_in_a_span(tracer, now):
    """Scenario 16: its consumer inherits the span, as in OpenTelemetry."""

    def chunks():
        with tracer.start_as_current_span("body"):
            yield now()
            yield now()

    body = chunks()
    assert next(body) == "body"
    assert trace.get_current_span().name == now() == "body"
    assert next(body) == "body"
    body.close()
    assert now() is None


def test_websocket(tracer, now):
    """Scenario 40: its root span in each message, with other work in between."""
    websocket = tracer.start_span("websocket")
    for _ in range(3):
        assert now() is None
        with trace.use_span(websocket):
            assert now() == "websocket"
            with tracer.start_as_current_span("receive"):
                assert now() == "websocket"
        assert now() is None
        with tracer.start_as_current_span("other"):
            assert now() == "other"
    websocket.end()


def test_each_thread_has_its_own_labels(tracer, now):
    def other():
        seen.append(now())
        with tracer.start_as_current_span("other"):
            entered.set()
            left.wait()
            seen.append(now())
        seen.append(now())

    seen, entered, left = [], threading.Event(), threading.Event()
    thread = threading.Thread(target=other, daemon=True)
    with tracer.start_as_current_span("root"):
        thread.start()
        entered.wait()
        assert now() == "root"
    assert now() is None
    left.set()
    thread.join()
    assert seen == [None, "other", None]


def test_root_ends_on_another_thread(tracer, now):
    """Scenario 25: the thread that has its labels removes them at its next switch."""
    root = tracer.start_span("root")
    with trace.use_span(root):
        thread = threading.Thread(target=root.end)
        thread.start()
        thread.join()
        # A thread's labels can only be changed by that thread.
        assert now() == "root"
        token = otel_context.attach(baggage.set_baggage("any", "switch"))
        assert now() is None
        otel_context.detach(token)
        assert now() is None
    assert now() is None


# Spans that are not ours


def test_foreign_span_stays_in_its_profile(tracer, now):
    """Scenario 37: it becomes current once more, also on another thread."""

    def other():
        token = attach(foreign)
        seen.append(now())
        otel_context.detach(token)
        seen.append(now())

    seen = []
    with tracer.start_as_current_span("root") as root:
        context = trace.SpanContext(root.context.trace_id, 8, is_remote=False)
        foreign = trace.NonRecordingSpan(context)
        with trace.use_span(foreign):
            assert now() == "root"
            assert profile_of_span(foreign) is profile_of_span(root)
        with tracer.start_as_current_span("inner", otel_context.Context()), trace.use_span(foreign):
            assert now() == "root"
        thread = threading.Thread(target=other, daemon=True)
        thread.start()
        thread.join()
        assert seen == ["root", None]
    with trace.use_span(foreign):
        assert now() is None


def test_foreign_span_below_an_ended_root(tracer, now):
    """Scenario 37: it has no open profile to belong to."""
    with tracer.start_as_current_span("root", end_on_exit=False) as root:
        root.end()
        foreign = trace.NonRecordingSpan(
            trace.SpanContext(root.context.trace_id, 8, is_remote=False)
        )
        with trace.use_span(foreign):
            assert now() is None


def test_foreign_span_that_takes_no_attribute(tracer, now):
    """Scenario 37: none rather than an error."""

    class Frozen(trace.NonRecordingSpan):
        def __setattr__(self, name, value):
            if hasattr(self, "_context"):
                raise AttributeError(name)
            super().__setattr__(name, value)

    with tracer.start_as_current_span("root") as root:
        foreign = Frozen(trace.SpanContext(root.context.trace_id, 8, is_remote=False))
        token = attach(foreign)
        assert trace.get_current_span() is foreign
        assert now() is None
        otel_context.detach(token)
        assert now() == "root"


def test_our_attribute_on_the_span_object_is_not_exported(tracer, exporter):
    with tracer.start_as_current_span("root"), tracer.start_as_current_span("child"):
        pass
    child, root = exporter.get_finished_spans()
    assert not hasattr(root, "_pyroscope_owner")
    assert not hasattr(child, "_pyroscope_owner")
    assert list(root.attributes) == [PROFILE_ID_ATTRIBUTE]


@pytest.mark.usefixtures("removed")
def test_method_that_another_tool_replaced_on_the_class_is_called(monkeypatch):
    calls = []
    with monkeypatch.context() as patches:
        for name in ("attach", "detach"):
            original = getattr(ContextVarsRuntimeContext, name)

            def traced(self, argument, name=name, original=original):
                calls.append(name)
                return original(self, argument)

            patches.setattr(ContextVarsRuntimeContext, name, traced)
        following.install()
        otel_context.detach(otel_context.attach(otel_context.Context()))
        following.remove()
    assert calls == ["attach", "detach"]
