"""Applications that others trace, without our middleware."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as AsgiContrib
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor, _InstrumentedFastAPI
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WsgiContrib
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware as StarlettesOwn

from tests.adapters import asgi_variants
from tests.adapters.wsgi_variants import flask_application

# Each takes user code as an ASGI application, and the middleware around it.


def contrib(endpoint, provider, middleware=(), **options):
    app = endpoint
    for each in middleware:
        app = each.cls(app, *each.args, **each.kwargs)
    return AsgiContrib(app, tracer_provider=provider, **options)


def contrib_fastapi(endpoint, provider, middleware=(), **options):
    app = asgi_variants.plain_fastapi(endpoint, middleware=list(middleware))
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider, **options)
    # Old releases keep each application, and so its last exception with all frames.
    _InstrumentedFastAPI._instrumented_fastapi_apps.discard(app)
    return app


def contrib_starlette(endpoint, provider, middleware=()):
    app = Starlette(routes=asgi_variants.routes(endpoint), middleware=list(middleware))
    StarletteInstrumentor.instrument_app(app, tracer_provider=provider)
    return app


def tracing_fastapi(endpoint, provider, middleware=()):
    telemetry = asgi_variants.telemetry_of(provider)
    return FastAPI(
        routes=asgi_variants.routes(endpoint), telemetry=telemetry, middleware=list(middleware)
    )


def starlette_middleware(endpoint, provider, middleware=(), **options):
    """Its middleware traces no websockets, and is not the outermost."""
    own = Middleware(StarlettesOwn, tracer_provider=provider, **options)
    return Starlette(routes=asgi_variants.routes(endpoint), middleware=[*middleware, own])


ASGI = (contrib, contrib_fastapi, contrib_starlette, tracing_fastapi, starlette_middleware)


# Each takes `answer()`, which returns a body.


def contrib_wsgi(answer, provider):
    def application(_environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return answer()

    return WsgiContrib(application, tracer_provider=provider)


def contrib_flask(answer, provider):
    app = flask_application(answer)
    FlaskInstrumentor().instrument_app(app, tracer_provider=provider)
    return app


WSGI = (contrib_wsgi, contrib_flask)


def _name_of(variant):
    return variant.__name__


def each_of(*variants):
    """Run a test once for each variant: its argument `assemble` makes the application."""
    return pytest.mark.parametrize("assemble", variants, ids=_name_of)


each_asgi = each_of(*ASGI)
each_wsgi = each_of(*WSGI)
