"""Tells the local server when a request was let go that went on after its root span.

Samples show that such a request ran, but not that it waited, and no span shows its end. Only
the hold on it knows. Nothing here is installed in an application that runs by itself.
"""

from __future__ import annotations

import time
from functools import wraps
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from pyroscope_otel.following.hook import Patch
from pyroscope_otel.link import failure
from pyroscope_otel.link.attribution import INHERITED, Hold
from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from pyroscope_otel.setup.findings.names import HELD_ATTRIBUTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroscope_otel.link.profile import Profile

__all__ = ("export_ends",)

_LEAST_NS = 50_000_000  # on a busy machine, a server takes some of it to close any response
_MAX_ROOTS = 1000  # a server that never closes a response never lets go of it

_SCOPE = InstrumentationScope("pyroscope_otel")


def export_ends(export: Callable[[ReadableSpan], object]) -> None:
    """Export a span for each request that is let go later than its root span ends.

    It is a child of the root span, from the root's end until the request is let go, if that is
    at least 50 ms. The tracer does not make it, so it has no profile, and no other processor or
    exporter gets it.

    Args:
        export: Called with the span.
    """
    ends = _Ends(export)
    Patch(PyroscopeSpanProcessor, "on_end", ends.after_span)
    Patch(Hold, "close", ends.after_hold)


class _Ends:
    def __init__(self, export: Callable[[ReadableSpan], object]) -> None:
        self._export = export
        self._roots: dict[str, ReadableSpan] = {}
        """The ended root spans of held requests, by profile id. The oldest comes first."""

    def after_span(self, on_end: Any) -> Any:
        """Return an `on_end` that remembers the root span of a held request."""

        @wraps(on_end)
        def end(processor: PyroscopeSpanProcessor, span: ReadableSpan) -> None:
            on_end(processor, span)
            try:
                self._remember(span)
            except Exception:
                failure.report("remember the end of a root span")

        return end

    def after_hold(self, close: Any) -> Any:
        """Return a `close` that exports the end of a request."""

        @wraps(close)
        def let_go(hold: Hold) -> None:
            close(hold)
            try:
                if hold.profile is not None:
                    self._let_go(hold.profile)
            except Exception:
                failure.report("export the end of a request")

        return let_go

    def _remember(self, span: ReadableSpan) -> None:
        hold = INHERITED.get(None)
        profile = hold.profile if isinstance(hold, Hold) else None
        if profile is not None and profile.span_id == span.context.span_id:
            self._roots[profile.id] = span
            if len(self._roots) > _MAX_ROOTS:
                self._roots.pop(next(iter(self._roots)), None)

    def _let_go(self, profile: Profile) -> None:
        root = self._roots.pop(profile.id, None)
        now = time.time_ns()
        if root is None or root.end_time is None or now - root.end_time < _LEAST_NS:
            return
        context = SpanContext(
            profile.trace_id,
            RandomIdGenerator().generate_span_id(),
            is_remote=False,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )
        self._export(
            ReadableSpan(
                name="held",
                context=context,
                parent=root.context,
                resource=root.resource,
                attributes={HELD_ATTRIBUTE: profile.id},
                instrumentation_scope=_SCOPE,
                start_time=root.end_time,
                end_time=now,
            )
        )
