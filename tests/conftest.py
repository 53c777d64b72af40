"""Shared fixtures: the recorder, a tracer, and the invariants checked after each test."""

from __future__ import annotations

import gc
import signal
import sys

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pyroscope_otel import following
from pyroscope_otel.link import failure, thread_labels
from pyroscope_otel.link.marks import MARKS
from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from pyroscope_otel.link.state import STATE
from tests.support.recorder import Recorder

# On a busy machine an example takes as long as the machine lets it.
hypothesis_settings.register_profile(
    "tests", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("tests")

# Background jobs of a shell ignore SIGINT and SIGQUIT, and programs under `nohup` ignore SIGHUP.
# The programs that the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items):
    """Mark the cases that run in direct mode."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and callspec.params.get("attribution") == "thread":
            item.add_marker("direct_mode")


@pytest.fixture(autouse=True)
def _reraise_failures(monkeypatch):
    monkeypatch.setattr(failure, "reraise", True)


@pytest.fixture(scope="module", autouse=True)
def _hide_earlier_objects():
    """Hide what earlier modules made and imported from the garbage collector.

    Optimization: otherwise each of the tests' many collections takes 0.1 to 0.5 s, which was a
    third of the suite's time.

    Hypothesis warns if the collector knows nobody who refers to trio's random numbers. It asks
    when it is imported, so that must happen before.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _untrace_background_tasks():
    """Keep a test's tracer provider from tracing the background tasks of later tests.

    Contrib's FastAPI instrumentation replaces a method of Starlette's class for good, by one
    with the first application's tracer. If that provider's processor keeps spans, it also keeps
    the requests of later tests, and their numbers.
    """
    yield
    starlette = sys.modules.get("starlette.background")
    if starlette is not None and hasattr(starlette.BackgroundTask, "_otel_original_call"):
        starlette.BackgroundTask.__call__ = starlette.BackgroundTask._otel_original_call
        del starlette.BackgroundTask._otel_original_call


@pytest.fixture
def attribution():
    """How samples are attributed: by "stack", or by "thread" labels alone (`labels_only`)."""
    return "stack"


@pytest.fixture
def marks_alone(attribution):
    """Skip the test in direct mode: it needs marks."""
    if attribution == "thread":
        pytest.skip("direct mode has no marks")


@pytest.fixture
def recorder(monkeypatch, attribution):
    """The recorder. After the test, the invariants of every case are checked."""
    recorder = Recorder()
    monkeypatch.setattr(thread_labels, "add_thread_tag", recorder.add)
    monkeypatch.setattr(thread_labels, "remove_thread_tag", recorder.remove)
    monkeypatch.setattr(STATE, "labels_only", attribution == "thread")
    monkeypatch.setattr(STATE, "async_marks", attribution == "stack")
    for seen in ("has_async_marks", "has_nested_holds"):
        monkeypatch.setattr(STATE, seen, False)
    thread_labels.forget()
    following.install()
    yield recorder
    assert recorder.wrong == []
    assert recorder.left_behind() == {}


@pytest.fixture
def labels_only(monkeypatch, recorder):  # noqa: ARG001  sets its own mode
    """Direct mode: the span labels themselves are on the thread."""
    monkeypatch.setattr(STATE, "labels_only", True)
    thread_labels.forget()
    yield
    # After the test's own clean-up, before the recorder checks its invariants.
    monkeypatch.setattr(STATE, "labels_only", False)
    thread_labels.forget()


@pytest.fixture
def now(recorder):
    """Return a function that names the root span of a sample taken now on this thread."""

    def name():
        labels = recorder.now()
        assert set(labels) in (set(), {"span_id", "span_name"})
        return labels.get("span_name")

    return name


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def silent_tracer(recorder):  # noqa: ARG001  the recorder must be in place
    """A tracer that exports nothing, as exporters attach and detach while a span ends."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(PyroscopeSpanProcessor())
    return provider.get_tracer("tests")


@pytest.fixture
def provider(exporter):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(PyroscopeSpanProcessor())
    yield provider
    provider.shutdown()


@pytest.fixture
def tracer(recorder, provider):  # noqa: ARG001  the recorder must be in place
    return provider.get_tracer("tests")


@pytest.fixture
def sample(recorder):
    """Takes a sample of the running thread; `name()` reads it as an upload would."""

    class Sample:
        def __init__(self):
            self.number = recorder.number()

        def name(self):
            profile = MARKS.profile_of(self.number)
            return None if profile is None else profile.name

    return Sample


@pytest.fixture
def samples_wait_for_their_upload():
    """Keep each number until its samples are uploaded, as with an agent."""
    MARKS.upload_kinds = ("process_cpu",)
    yield
    MARKS.forget_samples()
