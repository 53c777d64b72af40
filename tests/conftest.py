"""What the tests share: the recorder, a tracer, and the invariants after each."""

from __future__ import annotations

import signal
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pyroscope_otel import following
from pyroscope_otel.link import failure, thread_labels
from pyroscope_otel.link.marks import MARKS
from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from pyroscope_otel.link.switch import STATE
from tests.support.recorder import Recorder

# A shell's background job ignores Ctrl-C, and what `nohup` started ignores the end of
# the terminal. So would the programs started here.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _reraise_failures(monkeypatch):
    monkeypatch.setattr(failure, "reraise", True)


@pytest.fixture(autouse=True)
def _background_tasks_are_nobodys():
    """No test's tracer provider traces the background tasks of later tests.

    Contrib's FastAPI instrumentation replaces the method of Starlette's class, for good, with
    one that has the first application's tracer. A provider whose processor keeps spans then
    keeps the requests of other tests, and their numbers.
    """
    yield
    starlette = sys.modules.get("starlette.background")
    if starlette is not None and hasattr(starlette.BackgroundTask, "_otel_original_call"):
        starlette.BackgroundTask.__call__ = starlette.BackgroundTask._otel_original_call
        del starlette.BackgroundTask._otel_original_call


@pytest.fixture
def attribution():
    """What tells whose a sample is: "stack", or "thread" alone (`labels_only`)."""
    return "stack"


@pytest.fixture
def marks_alone(attribution):
    """For what marks alone can do, or is about them."""
    if attribution == "thread":
        pytest.skip("where nobody reads marks, there are none")


@pytest.fixture
def recorder(monkeypatch, attribution):
    """The recorder, and after the test the invariants of every case."""
    recorder = Recorder()
    monkeypatch.setattr(thread_labels, "add_thread_tag", recorder.add)
    monkeypatch.setattr(thread_labels, "remove_thread_tag", recorder.remove)
    monkeypatch.setattr(STATE, "labels_only", attribution == "thread")
    monkeypatch.setattr(STATE, "async_marks", attribution == "stack")
    thread_labels.forget()
    following.install()
    yield recorder
    assert recorder.wrong == []
    assert recorder.left_behind() == {}


@pytest.fixture
def labels_only(monkeypatch, recorder):  # noqa: ARG001  it has a mode of its own
    """Nobody reads marks: the span labels themselves are on the thread."""
    monkeypatch.setattr(STATE, "labels_only", True)
    thread_labels.forget()
    yield
    # Not before what the test left is gone; the recorder's invariants come after this.
    monkeypatch.setattr(STATE, "labels_only", False)
    thread_labels.forget()


@pytest.fixture
def now(recorder):
    """Return the name of the root that a sample of the running thread would be of."""

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
    """A tracer that exports nothing: exporters attach and detach while a span ends."""
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
    """Take a sample of the running thread. Asked for its name, it is as if it was uploaded."""

    class Sample:
        def __init__(self):
            self.number = recorder.number()

        def name(self):
            profile = MARKS.profile_of(self.number)
            return None if profile is None else profile.name

    return Sample


@pytest.fixture
def samples_wait_for_their_upload():
    """As with an agent: a number is kept until its samples are uploaded."""
    MARKS.upload_kinds = ("process_cpu",)
    yield
    MARKS.forget_samples()
