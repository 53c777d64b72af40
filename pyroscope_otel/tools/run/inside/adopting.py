"""An application that sets a tracer provider of its own, though it has one already.

OpenTelemetry takes the first and refuses the second. So what is made here stays the
global one, and becomes a front of the application's: its spans go through the
processors of the application's, and these get what the ones here did.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from pyroscope_otel.link import failure
from pyroscope_otel.setup import configuration

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

__all__ = ("adopt_the_applications",)


def adopt_the_applications(ours: TracerProvider, exporting: SpanProcessor) -> None:
    """Wait for the application to set a tracer provider, and work with it then.

    Args:
        ours: The global one.
        exporting: What exports the spans of ours.
    """
    set_tracer_provider = trace.set_tracer_provider

    @functools.wraps(set_tracer_provider)
    def adopt(tracer_provider: Any) -> None:
        if type(tracer_provider) is not type(ours) or trace.get_tracer_provider() is not ours:
            set_tracer_provider(tracer_provider)
            return
        trace.set_tracer_provider = set_tracer_provider
        try:
            _put_before(ours, tracer_provider, exporting)
        except Exception:
            failure.report("work with the application's tracer provider")

    trace.set_tracer_provider = adopt


def _put_before(ours: TracerProvider, theirs: TracerProvider, exporting: SpanProcessor) -> None:
    theirs.add_span_processor(exporting)
    configuration.apply({"tracer_provider": theirs}, replaceable=True)
    # OpenTelemetry has no way to take a processor out.
    front = ours._active_span_processor  # noqa: SLF001  it has no public name
    behind = theirs._active_span_processor  # noqa: SLF001  same
    with front._lock:  # noqa: SLF001  same
        front._span_processors = (behind,)  # noqa: SLF001  same
