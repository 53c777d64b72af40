"""Makes the root spans with OpenTelemetry's Django instrumentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel.link import failure
from pyroscope_otel.setup.installing import pip_install

if TYPE_CHECKING:
    from django.http import HttpRequest

MIDDLEWARE = "pyroscope_otel_django.middleware.PyroscopeMiddleware"

# Where the instrumentation stores its state for a request until the response.
_ACTIVATION = "opentelemetry-instrumentor-django.activation_key"
_SPAN = "opentelemetry-instrumentor-django.span_key"
_REMOTE_CONTEXT = "opentelemetry-instrumentor-django.token"


def instrument(tracer_provider: Any) -> None:
    """Apply OpenTelemetry's instrumentation, unless the project has done so.

    It adds a middleware to the setting `MIDDLEWARE`, right behind ours, so that ours can finish
    what it leaves open.

    Args:
        tracer_provider: The provider of the spans. None for the global one.

    Raises:
        ImportError: If the instrumentation is not installed.
    """
    try:
        from opentelemetry.instrumentation.django import DjangoInstrumentor
    except ImportError as error:
        raise ImportError(
            "pyroscope_otel_django needs opentelemetry-instrumentation-django to make a root span "
            f"for each request. Install it with: {pip_install('django')}. If "
            "something else makes the spans, set PYROSCOPE['INSTRUMENT'] to False",
            name=error.name,
        ) from error
    instrumentor = DjangoInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry:
        return
    middleware = [*django_settings.MIDDLEWARE]
    position = middleware.index(MIDDLEWARE) + 1 if MIDDLEWARE in middleware else 0
    instrumentor.instrument(tracer_provider=tracer_provider, middleware_position=position)


def finish_span(request: HttpRequest, error: BaseException) -> None:
    """End and detach the span of a request that has no response.

    The instrumentation ends the span with the response. Django makes no response for some
    exceptions: a cancellation, a worker's timeout, or any exception under
    `DEBUG_PROPAGATE_EXCEPTIONS`.
    """
    try:
        activation = request.META.pop(_ACTIVATION, None)
        if activation is not None:
            activation.__exit__(type(error), error, error.__traceback__)
        remote_context = request.META.pop(_REMOTE_CONTEXT, None)
        if remote_context is not None:
            otel_context.detach(remote_context)
    except Exception:
        failure.report("end the span of a request without a response")


def end_span(request: HttpRequest, error: BaseException) -> None:
    """End the span of such a request, if it is current in another thread's context."""
    try:
        span = request.META.get(_SPAN)
        if span is not None and span.is_recording():
            activation = trace.use_span(span, end_on_exit=True)
            activation.__enter__()
            activation.__exit__(type(error), error, error.__traceback__)
    except Exception:
        failure.report("end the span of a request without a response")
