"""Spans for tests, and the profile ids that they have."""

from __future__ import annotations

from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel.link.profile import PROFILE_ID_ATTRIBUTE


def profile_id(span):
    """Return the profile id that a span has as its attribute, if it has one."""
    return (span.attributes or {}).get(PROFILE_ID_ATTRIBUTE)


def own_id(span):
    """Return the profile id that a span has if it is a local root span."""
    return format(span.context.span_id, "016x")


def remote_parent(*, sampled=True):
    """Return a context with a span of another process."""
    flags = trace.TraceFlags.SAMPLED if sampled else trace.TraceFlags.DEFAULT
    context = trace.SpanContext(7, 8, is_remote=True, trace_flags=trace.TraceFlags(flags))
    return trace.set_span_in_context(trace.NonRecordingSpan(context), otel_context.Context())


def attach_and_leave(tracer, name):
    """Make a new local root span current and leave it attached."""
    span = tracer.start_span(name, context=otel_context.Context())
    otel_context.attach(trace.set_span_in_context(span))
    return span
