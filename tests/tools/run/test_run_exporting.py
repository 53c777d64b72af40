"""When the exporter is made, and which spans it gets."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from pyroscope_otel.tools.run.inside import export_on_demand as exporting_module
from pyroscope_otel.tools.run.inside.export_on_demand import ExportOnDemand
from tests.support import child


@pytest.fixture
def exported(monkeypatch):
    """The exporter, in place of the one that the environment names."""
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(exporting_module, "exporter_asked_for", lambda: lambda: exporter)
    return exporter


def names(exporter):
    return [span.name for span in exporter.get_finished_spans()]


@pytest.fixture
def exporting():
    return ExportOnDemand()


@pytest.fixture
def tracer(exporting):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(exporting)
    yield provider.get_tracer("tests")
    provider.shutdown()


def test_spans_that_end_before_the_exporter_is_made_are_exported(exported, exporting, tracer):
    for number in range(3):
        tracer.start_span(str(number)).end()
    assert exporting.force_flush()
    assert names(exported) == ["0", "1", "2"]


def test_no_exporter_is_made_without_a_span(monkeypatch, exporting):
    monkeypatch.setattr(exporting_module, "exporter_asked_for", lambda: pytest.fail("made"))
    assert exporting.force_flush()
    exporting.shutdown()


def test_dropped_span(exported, exporting, tracer):
    dropped = tracer.start_span("dropped")
    exporting.drop(dropped.get_span_context().span_id)
    dropped.end()
    tracer.start_span("kept").end()
    exporting.force_flush()
    assert names(exported) == ["kept"]


def test_exporter_can_be_made_at_once(exported, exporting, tracer):
    exporting.make()
    tracer.start_span("kept").end()
    exporting.force_flush()
    assert names(exported) == ["kept"]


def test_spans_without_an_exporter_are_discarded(monkeypatch, exporting, tracer):
    monkeypatch.setattr(exporting_module, "exporter_asked_for", lambda: None)
    tracer.start_span("lost").end()
    assert exporting.force_flush()


def test_unsampled_span_is_not_exported(exported, exporting):
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(exporting)
    provider.get_tracer("tests").start_span("unsampled").end()
    exporting.force_flush()
    assert names(exported) == []


def test_forked_child_makes_its_own_exporter():
    # The fork happens while a thread makes the exporter. The child lacks that thread.
    lines = child.run(
        """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pyroscope_otel.tools.run.inside import export_on_demand as exporting_module

exporter = InMemorySpanExporter()
exporting_module.exporter_asked_for = lambda: lambda: exporter
ExportOnDemand = exporting_module.ExportOnDemand
exporting = ExportOnDemand()
exporting._maker = threading.Thread()
exporting._lock.acquire()
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(exporting)
if os.fork() == 0:
    provider.get_tracer("test").start_span("child").end()
    exporting.force_flush()
    print([span.name for span in exporter.get_finished_spans()], flush=True)
    os._exit(0)
os.wait()
"""
    )
    assert lines == ["['child']"]
