"""The spans' way out: over OTLP, from the process in which they end."""

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


_MOST_EARLY = 2048  # as many as OpenTelemetry's processor keeps


def exporter_asked_for() -> Any | None:
    """Return the class of the exporter that the environment asks for, None if there is none."""
    return next(iter(exporters_asked_for(os.environ).exporters.values()), None)


class ExportOnDemand(SpanProcessor):
    """Exports as OpenTelemetry's environment variables say, from the first span on.

    A process that makes no span has no exporter: the master of a pre-fork server, a
    reloader, a shell. Importing one takes some tenths of a second. A thread does so, or
    the first request would be shown to have spent them.
    """

    def __init__(self) -> None:
        self._batch: SpanProcessor | None = None
        self._unwanted: set[int] = set()
        self._maker: threading.Thread | None = None
        self._begin()
        os.register_at_fork(after_in_child=self._begin_in_child)

    def make(self) -> None:
        """Make the exporter now: for a program that is all one span, or goes by its warnings."""
        self._maker = threading.current_thread()
        self._make()

    def drop(self, span_id: int) -> None:
        """Do not export a span when it ends."""
        self._unwanted.add(span_id)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Have an exporter made, if this is the first span."""
        del span, parent_context
        if self._maker is None:
            try:
                self._start_to_make()
            except Exception:
                failure.report("make an exporter")

    def on_end(self, span: ReadableSpan) -> None:
        """Pass a span on, to be exported."""
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
        """Export what there is, and end."""
        self._wait()
        if self._batch is not None:
            self._batch.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what there is."""
        self._wait()
        return self._batch is None or self._batch.force_flush(timeout_millis)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._early: deque[ReadableSpan] = deque(maxlen=_MOST_EARLY)
        self._maker = None

    def _begin_in_child(self) -> None:
        # Neither the thread is there nor who holds the lock. OpenTelemetry's processor,
        # if it was made, begins anew by itself.
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
            # Without an exporter, something that takes spans and does nothing.
            self._batch = SpanProcessor() if batch is None else batch
            for span in self._early:
                self._batch.on_end(span)
            self._early.clear()

    def _wait(self) -> None:
        if self._maker not in (None, threading.current_thread()):
            self._maker.join()
