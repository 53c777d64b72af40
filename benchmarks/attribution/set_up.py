"""How an application sets up tracing and profiling: all that differs between the packages."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

import pyroscope
from opentelemetry import trace
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from benchmarks.attribution import burn
from benchmarks.attribution.spans import JsonLinesExporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

PACKAGE_VARIABLE = "ATTRIBUTION_PACKAGE"
RELEASED_VARIABLE = "ATTRIBUTION_RELEASED"  # the file of the released package's module
SERVER_VARIABLE = "ATTRIBUTION_SERVER"


def set_up_fastapi(app: FastAPI, *, contrib: bool = False) -> FastAPI:
    """Trace and profile an application that traces itself, as FastAPI does from 0.142 on.

    Args:
        app: The application.
        contrib: Whether to have it traced by the contrib instrumentation instead.
    """
    provider = _trace()
    if contrib:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(app)
    if _package() == "ours":
        from pyroscope_otel.asgi import PyroscopeMiddleware

        app.add_middleware(PyroscopeMiddleware, **_agent())
    else:
        _profile_by_hand(provider)
    return app


def set_up_wsgi(app: Callable[..., Any]) -> Callable[..., Any]:
    """Trace and profile a plain WSGI application."""
    provider = _trace()
    if _package() == "ours":
        from pyroscope_otel.wsgi import PyroscopeMiddleware

        return PyroscopeMiddleware(app, **_agent())
    _profile_by_hand(provider)
    return OpenTelemetryMiddleware(app)


def _package() -> str:
    return os.environ[PACKAGE_VARIABLE]


def _agent() -> dict[str, Any]:
    return {
        "application_name": "shop",
        "server_address": os.environ[SERVER_VARIABLE],
        "upload_interval": 1,
    }


def _trace() -> TracerProvider:
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(JsonLinesExporter()))
    trace.set_tracer_provider(provider)
    return provider


def _profile_by_hand(provider: TracerProvider) -> None:
    pyroscope.configure(**_agent())
    if _package() == "exact":
        burn.agent = pyroscope
        return
    provider.add_span_processor(_span_processor())


def _span_processor() -> SpanProcessor:
    if _package() == "hand":
        from pyroscope_otel.processor import PyroscopeSpanProcessor

        return PyroscopeSpanProcessor()
    # Its module has the name of our import path, and is not installed: by path.
    spec = importlib.util.spec_from_file_location(
        "released_pyroscope_otel", os.environ[RELEASED_VARIABLE]
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PyroscopeSpanProcessor()
