"""Makes a root span for the whole run of a script that makes none itself."""

from __future__ import annotations

import atexit
import functools
import os
import sys
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import Tracer
from opentelemetry.trace import SpanKind, Status, StatusCode

from pyroscope_otel.link import failure

if TYPE_CHECKING:
    from pyroscope_otel.tools.run.inside.export_on_demand import ExportOnDemand
    from pyroscope_otel.tools.run.inside.program import Program

__all__ = ("SCRIPT_VARIABLE", "begin_if_wanted")

SCRIPT_VARIABLE = "PYROSCOPE_OTEL_RUN_SCRIPT"
"""Set until the first Python process reads it: processes that a script starts are part of it."""

_SERVED = (SpanKind.SERVER, SpanKind.CONSUMER)
_CONTRIB = "opentelemetry.instrumentation."


def begin_if_wanted(program: Program, exporting: ExportOnDemand) -> None:
    """Start a span for the whole run if this process is the command itself, and a script."""
    is_first = os.environ.pop(SCRIPT_VARIABLE, None) is not None
    if is_first and program.is_script:
        _WholeRun(str(program.name), exporting)


class _WholeRun:
    """The span, current in the main thread until the process ends.

    It is dropped if there are other roots: if the script makes a span itself, if a request or
    message arrives, or if the script opens a port, as requests will follow. Then it is not
    exported, and such spans have no parent. Client spans, for a database or another service,
    are its children.

    Args:
        name: The name of the span.
        exporting: The processor that exports it.
    """

    def __init__(self, name: str, exporting: ExportOnDemand) -> None:
        self._exporting = exporting
        self._pid = os.getpid()
        self._span: Any = trace.get_tracer(__name__).start_span(name)
        otel_context.attach(trace.set_span_in_context(self._span))
        self._detach_other_roots()
        sys.addaudithook(self._watch)
        atexit.register(self._end)

    def _detach_other_roots(self) -> None:
        start_span = Tracer.start_span
        whole = self._span

        @functools.wraps(start_span)
        def start_without_it(
            tracer: Tracer,
            name: str,
            context: otel_context.Context | None = None,
            kind: SpanKind = SpanKind.INTERNAL,
            *arguments: Any,
            **named: Any,
        ) -> trace.Span:
            if trace.get_current_span(context) is whole:
                if _is_root(tracer, kind):
                    self._withdraw()
                if not whole.is_recording():
                    context = trace.set_span_in_context(trace.INVALID_SPAN, context)
            return start_span(tracer, name, context, kind, *arguments, **named)

        Tracer.start_span = start_without_it  # type: ignore[method-assign, assignment]

    def _watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.bind" and self._span.is_recording():
            address = arguments[1]
            # Only internet sockets count. A Unix socket is for the script's own children.
            if isinstance(address, tuple) and os.getpid() == self._pid:
                self._withdraw()

    def _withdraw(self) -> None:
        if self._span.is_recording():
            self._exporting.drop(self._span.get_span_context().span_id)
            self._span.end()

    def _end(self) -> None:
        if os.getpid() != self._pid or not self._span.is_recording():
            return
        try:
            error = getattr(sys, "last_value", None)
            if error is not None:
                self._span.record_exception(error)
                self._span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            self._span.end()
        except Exception:
            failure.report("end the span of the whole run")


def _is_root(tracer: Any, kind: SpanKind) -> bool:
    """Return whether the application made the span itself, or it is a request that it serves."""
    scope = getattr(tracer, "_instrumentation_scope", None)  # it has no public name
    is_contribs = str(getattr(scope, "name", "")).startswith(_CONTRIB)
    return kind in _SERVED or (kind is SpanKind.INTERNAL and not is_contribs)
