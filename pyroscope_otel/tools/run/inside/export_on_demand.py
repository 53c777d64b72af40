"""Exports spans over OTLP, with an exporter that is made for the first span."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from pyroscope_otel.link import failure
from pyroscope_otel.setup.findings.exporting import exporters_asked_for

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

__all__ = ("ExportOnDemand",)


_MAX_EARLY = 2048  # the queue size of OpenTelemetry's BatchSpanProcessor


def exporter_asked_for() -> Any | None:
    """Return the exporter class that the environment asks for, or None."""
    return next(iter(exporters_asked_for(os.environ).exporters.values()), None)


class ExportOnDemand(SpanProcessor):
    """Exports as OpenTelemetry's environment variables ask, from the first span on.

    A process without spans makes no exporter: the master of a pre-fork server, a reloader, a
    shell. To import one takes tenths of a second. A thread does that; otherwise the time would
    appear in the profile of the first request.
    """

    def __init__(self) -> None:
        self._batch: SpanProcessor | None = None
        self._unwanted: set[int] = set()
        self._maker: threading.Thread | None = None
        self._begin()
        os.register_at_fork(after_in_child=self._begin_in_child)

    def make(self) -> None:
        """Make the exporter now. For a program that is one span, or that checks for warnings."""
        self._maker = threading.current_thread()
        self._make()

    def drop(self, span_id: int) -> None:
        """Discard a span when it ends."""
        self._unwanted.add(span_id)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Start to make the exporter if this is the first span."""
        del span, parent_context
        if self._maker is None:
            try:
                self._start_to_make()
            except Exception:
                failure.report("make an exporter")

    def on_end(self, span: ReadableSpan) -> None:
        """Pass a span on to the exporter."""
        context = span.context
        if context is None or not context.trace_flags.sampled:
            return
        if self._unwanted and context.span_id in self._unwanted:
            self._unwanted.discard(context.span_id)
        elif self._batch is not None:
            self._batch.on_end(span)
        else:
            with self._lock:
                if self._batch is None:
                    self._early.append(span)
                    return
            self._batch.on_end(span)

    def shutdown(self) -> None:
        """Export the remaining spans, and stop."""
        self._wait()
        if self._batch is not None:
            self._batch.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export the spans that have ended."""
        self._wait()
        return self._batch is None or self._batch.force_flush(timeout_millis)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._early: deque[ReadableSpan] = deque(maxlen=_MAX_EARLY)
        self._maker = None

    def _begin_in_child(self) -> None:
        # The thread does not exist in the child, nor does a holder of the lock. OpenTelemetry's
        # processor, if there is one, restarts itself.
        if self._batch is None:
            self._begin()

    def _start_to_make(self) -> None:
        with self._lock:
            if self._maker is not None:
                return
            self._maker = threading.Thread(
                target=self._make, name="pyroscope-otel-exporter", daemon=True
            )
            self._maker.start()

    def _make(self) -> None:
        try:
            kind = exporter_asked_for()
            batch = None if kind is None else BatchSpanProcessor(kind())
        except Exception:
            failure.report("make an exporter")
            batch = None
        with self._lock:
            # Without an exporter, use a processor that does nothing.
            self._batch = SpanProcessor() if batch is None else batch
            for span in self._early:
                self._batch.on_end(span)
            self._early.clear()

    def _wait(self) -> None:
        if self._maker not in (None, threading.current_thread()):
            self._maker.join()
