"""What is observed in the application's process, and what is ignored."""

from __future__ import annotations

import logging

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pyroscope_otel.tools.doctor.child.exporters import ExporterWatch
from pyroscope_otel.tools.doctor.child.watching import _Observer


def test_request_with_many_spans_leaves_room_for_the_next_root():
    spans = []
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(_Observer(spans, 0))
    tracer = provider.get_tracer("shop")
    for name in ("first", "second"):
        with tracer.start_as_current_span(name):
            for _ in range(250):
                tracer.start_span("SELECT").end()
    assert [span.name for _, span in spans] == ["first", "second"]


def test_only_log_lines_of_exporters_are_complaints(monkeypatch):
    said = {
        "opentelemetry.exporter.otlp": "no such host",
        "opentelemetry.attributes": "Invalid type dict for attribute",
    }
    for name in ("opentelemetry", "opentelemetry.exporter"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
    watch = ExporterWatch()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    watch.watch([provider])
    for name, message in said.items():
        logging.getLogger(name).warning(message)
    (facts,) = watch.facts()
    assert facts["complaints"] == ["no such host"]
