"""Which profile code belongs to: its own span's, or the one that it inherits."""

from __future__ import annotations

import contextvars
import weakref

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context

from pyroscope_otel.link import attribution
from pyroscope_otel.link.attribution import (
    INHERITED,
    current_owner,
    owner_in,
    owner_of_span,
)
from pyroscope_otel.link.switch import clear_label, follow_context, follow_current, run_in_context
from tests.support.span_profiles import guest_of_the_running_code, profile_of_span

pytestmark = pytest.mark.usefixtures("no_empty_context")


def name_of(owner):
    return None if owner is None else owner.profile.name


# The rule is in four functions, two of them in `switch`, for speed.


def no_context(_tracer):
    pass


def empty_context(_tracer):
    otel_context.attach(otel_context.Context())


def baggage_alone(_tracer):
    otel_context.attach(baggage.set_baggage("tenant", "7"))


def open_root(tracer):
    otel_context.attach(trace.set_span_in_context(tracer.start_span("root")))


def child_ended(tracer):
    global never_ended  # noqa: PLW0603  a root that nothing refers to is not open
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
    """Attach an empty context, since leaving a context calls no hook."""
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
def test_every_function_gives_the_same_owner(tracer, now, enter, own, inherits, holds):  # noqa: PLR0913, PLR0917
    """Scenarios 30, 38: the answer is the same inside and outside the context."""
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


def test_runtime_context_without_a_context_variable_is_refused(monkeypatch):
    class Elsewhere:
        def attach(self, context):
            self.context = context

    monkeypatch.setattr(otel_context, "_RUNTIME_CONTEXT", Elsewhere())
    with pytest.raises(RuntimeError, match="OTEL_PYTHON_CONTEXT"):
        attribution._find_context_variable()


# Jobs inherit a request: more of it in `test_guests`


def test_guest_is_open_while_its_span_is(tracer, now):
    """The root span has ended. The child span that submitted the job has not."""
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
def test_guest_is_open_while_its_root_is(tracer):
    with tracer.start_as_current_span("root") as root:
        with tracer.start_as_current_span("child"):
            guest = guest_of_the_running_code()
        assert guest.profile is profile_of_span(root)
        assert guest.if_open() is guest
    assert guest.if_open() is None


@pytest.mark.usefixtures("recorder", "without_garbage_collector")
def test_guest_keeps_no_span_alive(tracer):
    """A long job must not keep a request's spans, ended or not."""
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
def test_job_of_a_job_inherits_the_same_request(tracer):
    with tracer.start_as_current_span("root") as root:
        outer = guest_of_the_running_code()

        def job():
            INHERITED.set(outer)
            return guest_of_the_running_code()

        inner = contextvars.Context().run(job)
        assert inner.profile is profile_of_span(root)
        assert inner.if_open() is inner
    assert inner.if_open() is None
