"""The tracer provider: the application's own, or one made for it."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from pyroscope_otel.setup.findings.exporting import exporters_asked_for, span_processors
from pyroscope_otel.setup.findings.finding import Level
from pyroscope_otel.setup.findings.names import is_unknown
from pyroscope_otel.setup.findings.spans import is_no_op
from pyroscope_otel.setup.made_provider import MadeProvider, make_global
from pyroscope_otel.setup.setting_kinds import TRACER_PROVIDER
from pyroscope_otel.setup.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace import SpanProcessor

    from pyroscope_otel.setup.settings import Settings

logger = logging.getLogger("pyroscope_otel")

_made: MadeProvider | None = None
"""The provider made here, if any."""


def provider_in_use(given: Any = None) -> Any | None:
    """Return the given provider, else the global one, else None."""
    if given is not None:
        return given
    provider = trace.get_tracer_provider()
    return None if isinstance(provider, trace.ProxyTracerProvider) else provider


def resource_attributes(provider: Any | None, application_name: str = "") -> Mapping[str, Any]:
    """Return a provider's resource attributes, or those of a provider yet to be made.

    Args:
        provider: The provider, or None for the provider yet to be made.
        application_name: The application name from the settings, if known.
    """
    if provider is None:
        made = Resource.create()
        return (_named(made, application_name) if application_name else made).attributes
    resource = getattr(provider, "resource", None)
    return getattr(resource, "attributes", None) or {}


def tracer_provider_for(settings: Settings, on_replaced: Callable[[], object] = bool) -> Any:
    """Return the provider to register with: the given, the global, or a new one.

    A new provider becomes the global one until the application sets its own (`made_provider`).
    Its service name comes from `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES`, else from the
    settings. The environment decides where it exports spans (`exporters_asked_for`). A
    `NoOpTracerProvider` is returned unchanged: telemetry is off.

    Args:
        settings: The settings.
        on_replaced: Called when the application has replaced the new provider by its own.

    Raises:
        SettingsError: If the provider takes no span processors.
    """
    global _made  # noqa: PLW0603  the global provider is process-wide too
    provider = provider_in_use(settings.tracer_provider)
    if provider is None:
        _made = _make_provider(settings.application_name)
        make_global(_made, on_replaced)
        # Not necessarily ours: another thread may have set its own first.
        provider = trace.get_tracer_provider()
    try:
        return TRACER_PROVIDER.check(provider)
    except ValueError:
        raise SettingsError(
            f"tracer_provider must be {TRACER_PROVIDER.allowed}; "
            f"the global tracer provider is {TRACER_PROVIDER.show(provider)}"
        ) from None


def start_to_flush() -> threading.Thread | None:
    """Start exporting the spans of the provider made here.

    Returns:
        The exporting thread, which does not keep the process alive. None if no provider was
        made here.
    """
    if _made is None:
        return None
    thread = threading.Thread(target=_made.force_flush, name="pyroscope-otel-flush", daemon=True)
    thread.start()
    return thread


def register_processor(provider: Any, make: Callable[[], SpanProcessor]) -> SpanProcessor | None:
    """Register a span processor with a provider, unless it already has one of ours.

    Args:
        provider: The tracer provider.
        make: Makes the processor, if one is needed.

    Returns:
        The processor, or None if the application has registered one itself or the provider
        makes no spans.
    """
    if is_no_op(provider):
        return None
    if any(isinstance(one, PyroscopeSpanProcessor) for one in span_processors(provider)):
        return None
    processor = make()
    provider.add_span_processor(processor)
    return processor


def unregister_processor(provider: Any, processor: SpanProcessor) -> None:
    """Remove a span processor from a provider and shut it down.

    OpenTelemetry has no public way to remove one. In a provider that is not built like the
    SDK's, the processor stays registered and does nothing without an agent.
    """
    if processor in span_processors(provider):
        registered = provider._active_span_processor  # noqa: SLF001  it has no public name
        with registered._lock:  # noqa: SLF001  same
            others = [one for one in span_processors(provider) if one is not processor]
            registered._span_processors = tuple(others)  # noqa: SLF001  same
    processor.shutdown()


def name_service(provider: Any, application_name: str) -> None:
    """Give a provider's resource a service name, unless it has one.

    OpenTelemetry has no public way to do this. A provider that is not built like the SDK's
    keeps its resource, and so do existing tracers.
    """
    resource = getattr(provider, "_resource", None)
    if isinstance(resource, Resource):
        provider._resource = _named(resource, application_name)  # noqa: SLF001  see the docstring


def _named(resource: Resource, application_name: str) -> Resource:
    if is_unknown(resource.attributes.get(SERVICE_NAME)):
        return resource.merge(Resource({SERVICE_NAME: application_name}))
    return resource


def _make_provider(application_name: str) -> MadeProvider:
    provider = MadeProvider(resource=_named(Resource.create(), application_name))
    asked = exporters_asked_for(os.environ)
    for exporter in asked.exporters.values():
        provider.add_span_processor(BatchSpanProcessor(exporter()))
    for finding in asked.findings:
        # An exporter that is off, or was never requested, is no problem.
        is_problem = finding.level is Level.PROBLEM
        logger.log(logging.WARNING if is_problem else logging.INFO, "%s", finding.line)
    return provider
