"""Makes the root span of each request with OpenTelemetry's Flask instrumentation."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyroscope_otel.link.held_request import is_contrib
from pyroscope_otel.setup.installing import pip_install

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask
    from opentelemetry.trace import TracerProvider


def instrument(app: Flask, tracer_provider: TracerProvider) -> None:
    """Make OpenTelemetry create a root span for each request, unless it already does.

    Args:
        app: The application.
        tracer_provider: The provider of the spans.

    Raises:
        ImportError: If the instrumentation is needed but not installed.
    """
    # Instrumented by `instrument_app` or by `instrument` on its class, or wrapped by the WSGI
    # instrumentation.
    if is_contrib(app) or is_contrib(app.wsgi_app):
        return
    try:
        from opentelemetry.instrumentation.flask import FlaskInstrumentor
    except ImportError as error:
        raise ImportError(
            "pyroscope_otel_flask.Pyroscope needs opentelemetry-instrumentation-flask to make a "
            "root span for each request, as this application is not instrumented yet. "
            f"Install it with: {pip_install('flask')}",
            name=error.name,
        ) from error
    with _ahead(app.before_request_funcs), _ahead(app.teardown_request_funcs):
        instrument_app: Any = FlaskInstrumentor.instrument_app  # It has no types.
        instrument_app(app, tracer_provider=tracer_provider)


@contextmanager
def _ahead(functions: dict[Any, list[Any]]) -> Iterator[None]:
    """Put functions that are registered meanwhile ahead of the earlier ones.

    The instrumentation starts the span in a `before_request` function and ends it in a
    `teardown_request` function. Flask runs the latter in reverse order. Ahead of the others,
    the span encloses the application's own functions, even those registered first. Otherwise a
    function that answers the request would prevent the span, and a function that makes a span
    after the root has ended would start another trace.
    """
    for_all_blueprints = functions.setdefault(None, [])
    before = len(for_all_blueprints)
    yield
    for_all_blueprints[:] = for_all_blueprints[before:] + for_all_blueprints[:before]
