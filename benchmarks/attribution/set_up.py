"""Sets up tracing and profiling in an application, for each package."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

import pyroscope
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from benchmarks.attribution import burn
from benchmarks.attribution.spans import JsonLinesExporter

PACKAGE_VARIABLE = "ATTRIBUTION_PACKAGE"
RELEASED_VARIABLE = "ATTRIBUTION_RELEASED"  # the file of the released package's module
SERVER_VARIABLE = "ATTRIBUTION_SERVER"
UPLOAD_VARIABLE = "ATTRIBUTION_UPLOAD_INTERVAL"
SAMPLER_VARIABLE = "ATTRIBUTION_SAMPLER"
MEMORY_VARIABLE = "ATTRIBUTION_MEMORY"  # set to take memory profiles
POST_FORK_VARIABLE = "ATTRIBUTION_POST_FORK"  # set if `post_fork` starts the agent

MEMORY_SAMPLE_BYTES = 16 * 1024

if os.environ.get(PACKAGE_VARIABLE) == "hand":
    # Imported at the top of the module, before the agent starts, as documented.
    from pyroscope.otel import PyroscopeSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI
    from flask import Flask


def set_up_fastapi(app: FastAPI) -> FastAPI:
    """Trace and profile a FastAPI application that traces itself (FastAPI 0.142 and later)."""
    if _is_done_without_code():
        return app
    provider = _trace()
    _profile_fastapi(app, provider)
    return app


def set_up_fastapi_instrumented(app: FastAPI) -> FastAPI:
    """Trace and profile a FastAPI application with the contrib instrumentation of FastAPI."""
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    if _is_done_without_code():
        return app
    provider = _trace()
    FastAPIInstrumentor.instrument_app(app)
    _profile_fastapi(app, provider)
    return app


def set_up_asgi(app: FastAPI) -> FastAPI:
    """Trace and profile an ASGI application with the contrib instrumentation of ASGI.

    Our middleware uses that instrumentation itself.
    """
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    provider = _trace()
    if not _has_our_adapter():
        app.add_middleware(OpenTelemetryMiddleware)
    _profile_fastapi(app, provider)
    return app


def set_up_wsgi(app: Callable[..., Any]) -> Callable[..., Any]:
    """Trace and profile a plain WSGI application with the contrib instrumentation."""
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    provider = _trace()
    if _has_our_adapter():
        from pyroscope_otel.wsgi import PyroscopeMiddleware

        return PyroscopeMiddleware(app, **_our_settings())
    _profile_by_hand(provider)
    return OpenTelemetryMiddleware(app)


def set_up_flask(app: Flask) -> None:
    """Trace and profile a Flask application with the contrib instrumentation."""
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    if _is_done_without_code():
        return
    provider = _trace()
    if _has_our_adapter():
        from pyroscope_otel_flask import Pyroscope

        Pyroscope(app, **_our_settings())
    else:
        FlaskInstrumentor().instrument_app(app)
        _profile_by_hand(provider)


def set_up_django(settings: dict[str, Any]) -> None:
    """Trace and profile a Django project with the contrib instrumentation.

    Args:
        settings: The settings of the project, which are updated.
    """
    if _is_done_without_code():
        return
    _trace()
    if _has_our_adapter():
        settings["INSTALLED_APPS"].insert(0, "pyroscope_otel_django")
        settings["MIDDLEWARE"].insert(0, "pyroscope_otel_django.middleware.PyroscopeMiddleware")
        settings["PYROSCOPE"] = {name.upper(): value for name, value in _our_settings().items()}
    else:
        settings["INSTALLED_APPS"].insert(0, "benchmarks.attribution.django_shop")


def instrument_django() -> None:
    """Do the remaining set-up by hand, once the project's settings are configured."""
    from opentelemetry.instrumentation.django import DjangoInstrumentor

    DjangoInstrumentor().instrument()
    _profile_by_hand(trace.get_tracer_provider())


def django_asgi_application() -> Callable[..., Any]:
    """Return the Django project's ASGI application."""
    if _has_our_adapter():
        from pyroscope_otel_django.asgi import get_asgi_application
    else:
        from django.core.asgi import get_asgi_application
    return get_asgi_application()


def set_up_celery() -> None:
    """Trace and profile Celery tasks with the contrib instrumentation."""
    from celery.signals import worker_process_init, worker_process_shutdown
    from opentelemetry.instrumentation.celery import CeleryInstrumentor

    if _is_done_without_code():
        return
    provider = _trace()
    CeleryInstrumentor().instrument()
    # Celery's processes exit without the interpreter's exit handlers.
    if _has_our_adapter():
        import pyroscope_otel

        pyroscope_otel.configure(**_our_settings())
        worker_process_shutdown.connect(lambda **_: pyroscope_otel.shutdown(), weak=False)
    else:
        worker_process_init.connect(lambda **_: _start_agent(), weak=False)
        worker_process_shutdown.connect(lambda **_: pyroscope.shutdown(), weak=False)
        _label_by_hand(provider)


def instrument_threads() -> None:
    """Make threads start in the context of the code that starts them."""
    from opentelemetry.instrumentation.threading import ThreadingInstrumentor

    if not _is_done_without_code():
        ThreadingInstrumentor().instrument()


def post_fork(server, worker) -> None:  # noqa: ARG001 gunicorn's
    """Start the agent in each worker. A hook of gunicorn, if this module is its configuration."""
    if not _has_our_adapter():
        _start_agent()


def _profile_fastapi(app: FastAPI, provider: TracerProvider) -> None:
    if _has_our_adapter():
        from pyroscope_otel.asgi import PyroscopeMiddleware

        app.add_middleware(PyroscopeMiddleware, **_our_settings())
    else:
        _profile_by_hand(provider)


def _package() -> str:
    return os.environ[PACKAGE_VARIABLE]


def _has_our_adapter() -> bool:
    return _package() in ("ours", "direct")


def _is_done_without_code() -> bool:
    return _package() == "zero"


def _our_settings() -> dict[str, Any]:
    settings = _agent() | {"cpu_implementation": os.environ[SAMPLER_VARIABLE]}
    if _package() == "direct":
        settings["attribution"] = "thread"
    return settings


def _start_agent() -> None:
    settings = _agent()
    if os.environ[SAMPLER_VARIABLE] == "stack":
        settings["cpu_implementation"] = pyroscope.ProfilerImplementation.Stack
    pyroscope.configure(**settings)


def _agent() -> dict[str, Any]:
    settings = {
        "application_name": "shop",
        "server_address": os.environ[SERVER_VARIABLE],
        "upload_interval": int(os.environ[UPLOAD_VARIABLE]),
    }
    if MEMORY_VARIABLE in os.environ:
        settings |= {"mem_enabled": True, "mem_heap_sample_size": MEMORY_SAMPLE_BYTES}
    return settings


def _trace() -> TracerProvider:
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(JsonLinesExporter()))
    trace.set_tracer_provider(provider)
    return provider


def _profile_by_hand(provider: TracerProvider) -> None:
    if POST_FORK_VARIABLE not in os.environ:
        _start_agent()
    _label_by_hand(provider)


def _label_by_hand(provider: TracerProvider) -> None:
    if _package() == "exact":
        burn.agent = pyroscope
        return
    provider.add_span_processor(_span_processor())


def _span_processor() -> SpanProcessor:
    if _package() == "hand":
        return PyroscopeSpanProcessor()
    # The module has the same import path as ours and is not installed, so load it by file.
    spec = importlib.util.spec_from_file_location(
        "released_pyroscope_otel", os.environ[RELEASED_VARIABLE]
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PyroscopeSpanProcessor()
