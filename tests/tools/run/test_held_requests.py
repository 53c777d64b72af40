"""When the end of a held request is exported, and what the export says."""

from __future__ import annotations

import time

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from pyroscope_otel.link import failure
from pyroscope_otel.link.attribution import Hold
from pyroscope_otel.link.held_request import hold_request, release, run_held
from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from pyroscope_otel.tools.run.inside.held_requests import export_ends

SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def _patches_go_with_the_test(monkeypatch):
    monkeypatch.setattr(PyroscopeSpanProcessor, "on_end", PyroscopeSpanProcessor.on_end)
    monkeypatch.setattr(Hold, "close", Hold.close)


@pytest.fixture
def exported():
    """The exported spans."""
    spans = []
    export_ends(spans.append)
    return spans


@pytest.fixture
def tracer():
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(PyroscopeSpanProcessor())
    return provider.get_tracer("tests")


def served(tracer, *, ended):
    """Run a held request whose root span ended at this time; return the hold and the root."""
    hold = hold_request({})
    roots = []

    def handle():
        roots.append(tracer.start_span("POST /mail", start_time=ended - SECOND))
        roots[0].end(ended)

    run_held(hold, handle)
    return hold, roots[0]


def test_span_from_the_end_of_the_root_until_the_request_is_let_go(exported, tracer):
    hold, root = served(tracer, ended=time.time_ns() - SECOND)
    assert exported == []
    before = time.time_ns()
    release(hold)
    (span,) = exported
    assert before <= span.end_time <= time.time_ns()
    assert span.start_time == root.end_time
    assert span.parent is root.context
    assert span.context.trace_id == root.context.trace_id
    assert span.context.span_id != root.context.span_id
    assert span.context.trace_flags.sampled
    assert span.resource.attributes["service.name"] == "shop"
    assert span.instrumentation_scope.name == "pyroscope_otel"
    assert dict(span.attributes) == {"pyroscope_otel.held": hold.profile_id}


def test_second_release_exports_nothing(exported, tracer):
    hold, _ = served(tracer, ended=time.time_ns() - SECOND)
    release(hold)
    release(hold)
    assert len(exported) == 1


def test_nothing_if_the_root_ends_last(exported, tracer):
    # In an hour: on a busy machine, any shorter time may pass.
    hold, _ = served(tracer, ended=time.time_ns() + 3600 * SECOND)
    release(hold)
    assert exported == []


def test_nothing_if_the_root_is_still_open(exported, tracer):
    hold = hold_request({})
    open_span = run_held(hold, tracer.start_span, "GET /cart")
    release(hold)
    open_span.end()
    assert exported == []


def test_nothing_after_the_end_of_a_child_span(exported, tracer):
    hold = hold_request({})
    roots = []

    def handle():
        with tracer.start_as_current_span("GET /cart", end_on_exit=False) as root:
            tracer.start_span("SELECT", start_time=1).end(2)
            roots.append(root)

    run_held(hold, handle)
    release(hold)
    roots[0].end()
    assert exported == []


def test_nothing_without_a_hold(exported, tracer):
    tracer.start_span("job", start_time=1).end(2)
    assert exported == []


def test_nothing_without_a_root(exported):
    release(hold_request({}))
    assert exported == []


def test_failing_export_does_not_reach_the_application(monkeypatch, tracer, caplog):
    monkeypatch.setattr(failure, "reraise", False)
    monkeypatch.setattr(failure, "_reported", set())

    def fail(_span):
        raise OSError("no exporter")

    export_ends(fail)
    hold, _ = served(tracer, ended=time.time_ns() - SECOND)
    release(hold)
    assert "failed to export the end of a request" in caplog.text
    assert hold.is_closed
