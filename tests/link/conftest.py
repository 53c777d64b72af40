"""Fixtures for several files: tracers that sample, and a thread without labels."""

from __future__ import annotations

import gc

import pytest
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from pyroscope_otel.link import thread_labels
from pyroscope_otel.link.processor import PyroscopeSpanProcessor


class ByName(Sampler):
    """Decides by the span's name."""

    def should_sample(self, _parent_context, _trace_id, name, *_args, **_kwargs):
        decision = {
            "dropped": Decision.DROP,
            "record only": Decision.RECORD_ONLY,
        }.get(name, Decision.RECORD_AND_SAMPLE)
        return SamplingResult(decision)

    def get_description(self):
        return "ByName"


@pytest.fixture
def by_name():
    """Return a sampler that drops spans, or only records them, by their names."""
    return ByName()


@pytest.fixture
def make_tracer(recorder):
    """Return a function that makes a tracer with its own provider."""

    def make(*processors, **options):
        provider = TracerProvider(shutdown_on_exit=False, **options)
        for processor in processors:
            provider.add_span_processor(processor)
        providers.append(provider)
        return provider.get_tracer("tests")

    assert recorder.now() == {}
    providers = []
    yield make
    for provider in providers:
        provider.shutdown()


@pytest.fixture
def choosy(make_tracer, by_name):
    """Return a tracer that drops spans by their names."""
    return make_tracer(PyroscopeSpanProcessor(), sampler=by_name)


@pytest.fixture
def clean_thread(recorder):
    """Attach an empty context, and remove the thread's labels before the invariants are checked."""
    outside = otel_context.attach(otel_context.Context())
    recorder.log.clear()
    yield
    otel_context.detach(outside)
    recorder.running = True
    recorder.before_add = None
    thread_labels.carry(thread_labels.this_thread(), None)


@pytest.fixture
def without_garbage_collector():
    """Disable the garbage collector: objects go by their reference counts alone."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def no_empty_context():
    """Attach a context that is not empty: in an empty one, code inherits no request."""
    outside = otel_context.attach(otel_context.set_value("outside", value=True))
    yield
    otel_context.detach(outside)
