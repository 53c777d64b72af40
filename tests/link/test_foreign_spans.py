"""Spans of other providers and of other classes."""

from __future__ import annotations

from opentelemetry import context as otel_context
from opentelemetry import trace

from tests.support.spans import own_id, profile_id


class Wrapper(trace.Span):
    """A span wrapped in an object of another class, as some libraries return it."""

    def __init__(self, span):
        self._span = span

    def end(self, end_time=None):
        self._span.end(end_time)

    def get_span_context(self):
        return self._span.get_span_context()

    def set_attributes(self, attributes):
        self._span.set_attributes(attributes)

    def set_attribute(self, key, value):
        self._span.set_attribute(key, value)

    def add_event(self, name, attributes=None, timestamp=None):
        self._span.add_event(name, attributes, timestamp)

    def update_name(self, name):
        self._span.update_name(name)

    def is_recording(self):
        return self._span.is_recording()

    def set_status(self, status, description=None):
        self._span.set_status(status, description)

    def record_exception(self, *args, **kwargs):
        self._span.record_exception(*args, **kwargs)


def test_wrapped_span_belongs_to_its_root(tracer, now):
    """Scenario 37."""
    with tracer.start_as_current_span("root"):
        wrapped = Wrapper(tracer.start_span("child"))
        with trace.use_span(wrapped, end_on_exit=True):
            assert now() == "root"
            with tracer.start_as_current_span("grandchild") as grandchild:
                assert profile_id(grandchild) is None
                assert now() == "root"
            assert now() == "root"
        assert now() == "root"
    assert now() is None


def test_span_of_another_provider_belongs_to_the_root_around_it(tracer, make_tracer, now):
    """Scenario 37."""
    foreign = make_tracer()
    with tracer.start_as_current_span("root"):
        with foreign.start_as_current_span("foreign"):
            assert now() == "root"
            with tracer.start_as_current_span("grandchild") as grandchild:
                assert profile_id(grandchild) is None
                assert now() == "root"
        assert now() == "root"
    assert now() is None


def test_root_of_another_provider_has_no_samples(tracer, make_tracer, now):
    """A span of another trace is not part of the profile around it."""
    foreign = make_tracer()
    with tracer.start_as_current_span("root"):
        with foreign.start_as_current_span("foreign", otel_context.Context()):
            assert now() is None
        assert now() == "root"
    with foreign.start_as_current_span("foreign"):
        assert now() is None
    assert now() is None


def test_child_of_a_root_of_another_provider_is_a_root(tracer, make_tracer, now):
    """The other root span is in another trace, and was never current."""
    foreign = make_tracer().start_span("foreign", otel_context.Context())
    with tracer.start_as_current_span("root"):
        with tracer.start_as_current_span("child", trace.set_span_in_context(foreign)) as child:
            assert profile_id(child) == own_id(child)
            assert now() == "child"
        assert now() == "root"
    foreign.end()


def test_no_op_span_belongs_to_the_root_around_it(tracer, now):
    """Scenario 37: OpenTelemetry's `NoOpTracer`."""
    with tracer.start_as_current_span("root"):
        with trace.NoOpTracer().start_as_current_span("nothing"):
            assert now() == "root"
        assert now() == "root"
    assert now() is None
