"""Handles an application that sets its own tracer provider after ours has been set.

OpenTelemetry accepts the first global provider and refuses the second. So ours stays global
and forwards its spans to the processors of the application's provider. The exporter and
this package's processor are added there.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from pyroscope_otel.link import failure
from pyroscope_otel.setup import configuration

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

__all__ = ("adopt_application_provider",)


def adopt_application_provider(ours: TracerProvider, exporting: SpanProcessor) -> None:
    """Watch for the application to set a tracer provider, and adopt it.

    Args:
        ours: The global tracer provider.
        exporting: The processor that exports its spans.
    """
    set_tracer_provider = trace.set_tracer_provider

    @functools.wraps(set_tracer_provider)
    def adopt(tracer_provider: Any) -> None:
        if type(tracer_provider) is not type(ours) or trace.get_tracer_provider() is not ours:
            set_tracer_provider(tracer_provider)
            return
        trace.set_tracer_provider = set_tracer_provider
        try:
            _forward(ours, tracer_provider, exporting)
        except Exception:
            failure.report("work with the application's tracer provider")

    trace.set_tracer_provider = adopt


def _forward(ours: TracerProvider, theirs: TracerProvider, exporting: SpanProcessor) -> None:
    theirs.add_span_processor(exporting)
    configuration.apply({"tracer_provider": theirs}, replaceable=True)
    # OpenTelemetry has no API to remove a processor.
    front = ours._active_span_processor  # noqa: SLF001  it has no public name
    behind = theirs._active_span_processor  # noqa: SLF001  same
    with front._lock:  # noqa: SLF001  same
        front._span_processors = (behind,)  # noqa: SLF001  same
