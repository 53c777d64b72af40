"""Spans that the sampler drops or only records."""

from __future__ import annotations

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ParentBased,
)

from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from pyroscope_otel.link.profile import PROFILE_ID_ATTRIBUTE
from tests.support.span_profiles import profile_of_span
from tests.support.spans import profile_id, remote_parent


@pytest.mark.parametrize("name", ["dropped", "record only"])
def test_unsampled_root_has_no_samples(choosy, now, name):
    """Scenario 36."""
    with choosy.start_as_current_span(name) as root:
        assert profile_of_span(root) is None
        assert PROFILE_ID_ATTRIBUTE not in (getattr(root, "attributes", None) or {})
        assert now() is None
    assert now() is None


@pytest.mark.parametrize("name", ["dropped", "record only"])
def test_unsampled_root_does_not_belong_to_the_root_around_it(choosy, now, name):
    """Scenario 36."""
    with choosy.start_as_current_span("root"):
        with choosy.start_as_current_span(name, otel_context.Context()):
            assert now() is None
        assert now() == "root"
    assert now() is None


@pytest.mark.parametrize("name", ["dropped", "record only"])
def test_unsampled_root_in_the_trace_of_the_root_around_it(choosy, now, name):
    """Scenarios 35, 36: a process that calls itself, and samples on its own."""
    with choosy.start_as_current_span("client") as client:
        context = trace.SpanContext(client.context.trace_id, client.context.span_id, is_remote=True)
        remote = trace.set_span_in_context(trace.NonRecordingSpan(context))
        token = otel_context.attach(remote)
        with choosy.start_as_current_span(name):
            assert now() is None
        otel_context.detach(token)
        assert now() == "client"
    assert now() is None


@pytest.mark.parametrize("name", ["dropped", "record only"])
def test_unsampled_child_belongs_to_its_root(choosy, now, name):
    """Scenario 37."""
    with choosy.start_as_current_span("root"):
        with choosy.start_as_current_span(name) as child:
            assert now() == "root"
            assert PROFILE_ID_ATTRIBUTE not in (getattr(child, "attributes", None) or {})
            with choosy.start_as_current_span("grandchild") as grandchild:
                assert profile_id(grandchild) is None
                assert now() == "root"
            assert now() == "root"
        assert now() == "root"
    assert now() is None


@pytest.mark.parametrize("name", ["dropped", "record only"])
def test_child_of_an_unsampled_child_that_was_never_current(choosy, now, name):
    """Scenario 37: the parent is given."""
    with choosy.start_as_current_span("root"):
        child = choosy.start_span(name)
        grandchild = choosy.start_span("grandchild", trace.set_span_in_context(child))
        assert profile_id(grandchild) is None
        with trace.use_span(grandchild, end_on_exit=True):
            assert now() == "root"
        child.end()
    assert now() is None


def test_recorded_child_that_becomes_current_elsewhere(choosy, now):
    """Scenario 37: without the root span around it, it belongs to it since its start."""
    with choosy.start_as_current_span("root"):
        child = choosy.start_span("record only")
        token = otel_context.attach(otel_context.Context())
        with trace.use_span(child, end_on_exit=True):
            assert now() == "root"
        assert now() is None
        otel_context.detach(token)
    assert now() is None


def test_unsampled_request_has_no_samples(make_tracer, now):
    """Scenario 36: the usual sampler, with a parent that is not sampled."""
    tracer = make_tracer(PyroscopeSpanProcessor(), sampler=ParentBased(ALWAYS_OFF))
    with tracer.start_as_current_span("root"), tracer.start_as_current_span("child"):
        assert now() is None
    token = otel_context.attach(remote_parent(sampled=False))
    with tracer.start_as_current_span("root"):
        assert now() is None
    otel_context.detach(token)
    token = otel_context.attach(remote_parent(sampled=True))
    with tracer.start_as_current_span("root"):
        assert now() == "root"
    otel_context.detach(token)
