"""ASGI applications by which library makes the root span, outside our middleware or inside it."""

from __future__ import annotations

from inspect import signature

import pytest
from fastapi import FastAPI
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware as StarlettesOwn
from starlette.routing import Mount, Route, WebSocketRoute

from pyroscope_otel.asgi import PyroscopeMiddleware
from tests.support.journal import ROUTE


def routes(endpoint):
    return [Route(ROUTE, endpoint), WebSocketRoute(ROUTE, endpoint)]


def ours(settings):
    return Middleware(PyroscopeMiddleware, **settings)


def starlettes_own(settings):
    return Middleware(StarlettesOwn, tracer_provider=settings["tracer_provider"])


def telemetry_of(provider):
    """Return what has a FastAPI trace its requests; skip the test with one that cannot."""
    if "telemetry" not in signature(FastAPI).parameters:
        pytest.skip("FastAPI traces its requests from 0.142 on")
    return {"tracer_provider": provider}


def tracing_fastapi(endpoint, settings, **more):
    telemetry = telemetry_of(settings["tracer_provider"])
    return FastAPI(routes=routes(endpoint), telemetry=telemetry, **more)


def plain_fastapi(endpoint, **more):
    return FastAPI(routes=routes(endpoint), telemetry={"tracing": False}, **more)


# We make the root span.


def bare(endpoint, settings):
    return PyroscopeMiddleware(endpoint, **settings)


def starlette_inside(endpoint, settings):
    return PyroscopeMiddleware(Starlette(routes=routes(endpoint)), **settings)


def added_to_starlette(endpoint, settings):
    return Starlette(routes=routes(endpoint), middleware=[ours(settings)])


def added_to_plain_fastapi(endpoint, settings):
    app = plain_fastapi(endpoint)
    app.add_middleware(PyroscopeMiddleware, **settings)
    return app


# Our middleware twice.


def twice(endpoint, settings):
    return PyroscopeMiddleware(PyroscopeMiddleware(endpoint, **settings), **settings)


def added_to_starlette_twice(endpoint, settings):
    return Starlette(routes=routes(endpoint), middleware=[ours(settings), ours(settings)])


def nested_starlettes(endpoint, settings):
    inner = Starlette(routes=routes(endpoint), middleware=[ours(settings)])
    return Starlette(routes=[Mount("/", inner)], middleware=[ours(settings)])


def tracing_fastapi_mounted(endpoint, settings):
    inner = tracing_fastapi(endpoint, settings)
    return Starlette(routes=[Mount("/", inner)], middleware=[ours(settings)])


def tracing_fastapi_inside_twice(endpoint, settings):
    return PyroscopeMiddleware(tracing_fastapi_inside(endpoint, settings), **settings)


# An instrumentation is outside.


def contrib_outside(endpoint, settings):
    app = PyroscopeMiddleware(endpoint, **settings)
    return OpenTelemetryMiddleware(app, tracer_provider=settings["tracer_provider"])


def contrib_outside_starlette(endpoint, settings):
    app = added_to_starlette(endpoint, settings)
    return OpenTelemetryMiddleware(app, tracer_provider=settings["tracer_provider"])


def starlettes_own_outside(endpoint, settings):
    middleware = [starlettes_own(settings), ours(settings)]
    return Starlette(routes=routes(endpoint), middleware=middleware)


# The application traces itself.


def contrib_inside(endpoint, settings):
    provider = settings["tracer_provider"]
    app = OpenTelemetryMiddleware(endpoint, tracer_provider=provider)
    return PyroscopeMiddleware(app, **settings)


def starlettes_own_inside(endpoint, settings):
    middleware = [ours(settings), starlettes_own(settings)]
    return Starlette(routes=routes(endpoint), middleware=middleware)


def starlettes_own_in_starlette_inside(endpoint, settings):
    app = Starlette(routes=routes(endpoint), middleware=[starlettes_own(settings)])
    return PyroscopeMiddleware(app, **settings)


def added_to_tracing_fastapi(endpoint, settings):
    app = tracing_fastapi(endpoint, settings)
    app.add_middleware(PyroscopeMiddleware, **settings)
    return app


def tracing_fastapi_inside(endpoint, settings):
    return PyroscopeMiddleware(tracing_fastapi(endpoint, settings), **settings)


def added_to_instrumented_fastapi(endpoint, settings):
    app = tracing_fastapi(endpoint, settings)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=settings["tracer_provider"])
    app.add_middleware(PyroscopeMiddleware, **settings)
    return app


def added_to_fastapi_instrumented_later(endpoint, settings):
    app = plain_fastapi(endpoint)
    app.add_middleware(PyroscopeMiddleware, **settings)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=settings["tracer_provider"])
    return app


def instrumented_fastapi_inside(endpoint, settings):
    app = plain_fastapi(endpoint)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=settings["tracer_provider"])
    return PyroscopeMiddleware(app, **settings)


def added_to_instrumented_starlette(endpoint, settings):
    app = Starlette(routes=routes(endpoint))
    StarletteInstrumentor.instrument_app(app, tracer_provider=settings["tracer_provider"])
    app.add_middleware(PyroscopeMiddleware, **settings)
    return app


def added_to_starlette_instrumented_later(endpoint, settings):
    app = Starlette(routes=routes(endpoint), middleware=[ours(settings)])
    StarletteInstrumentor.instrument_app(app, tracer_provider=settings["tracer_provider"])
    return app


def instrumented_starlette_inside(endpoint, settings):
    app = Starlette(routes=routes(endpoint))
    StarletteInstrumentor.instrument_app(app, tracer_provider=settings["tracer_provider"])
    return PyroscopeMiddleware(app, **settings)


OURS = (bare, starlette_inside, added_to_starlette, added_to_plain_fastapi)
MORE_OF_US = (
    twice,
    added_to_starlette_twice,
    nested_starlettes,
    tracing_fastapi_mounted,
    tracing_fastapi_inside_twice,
)
OUTSIDE = (contrib_outside, contrib_outside_starlette, starlettes_own_outside)
INSIDE = (
    contrib_inside,
    starlettes_own_inside,
    starlettes_own_in_starlette_inside,
    added_to_tracing_fastapi,
    tracing_fastapi_inside,
    added_to_instrumented_fastapi,
    added_to_fastapi_instrumented_later,
    instrumented_fastapi_inside,
    added_to_instrumented_starlette,
    added_to_starlette_instrumented_later,
    instrumented_starlette_inside,
)

VARIANTS = OURS + MORE_OF_US + OUTSIDE + INSIDE


def each_of(*variants):
    """Run a test once for each variant: its argument `assemble(endpoint)` makes the application."""
    return pytest.mark.parametrize("assemble", variants, ids=_name_of, indirect=True)


def _name_of(variant):
    return variant.__name__


each_variant = each_of(*VARIANTS)
