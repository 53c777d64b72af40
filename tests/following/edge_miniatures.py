"""Small cases that come out wrong if a request is not held at its edge.

In most, code of the request runs after the instrumentation has detached its span.
"""

from __future__ import annotations

import contextlib

import flask
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import StreamingHttpResponse
from django.test import override_settings
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as AsgiContrib
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WsgiContrib
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware as StarlettesOwn
from starlette.routing import Route

from pyroscope_otel.link.marks import nearest_mark
from tests.adapters.asgi_variants import telemetry_of
from tests.django_adapter.django_project import Urls
from tests.support.asgi_server import START, chunk, http
from tests.support.asgi_server import Exchange as AsgiExchange
from tests.support.event_loops import run
from tests.support.journal import PATH, ROUTE
from tests.support.wsgi_server import Exchange as WsgiExchange


class Provider(trace.TracerProvider):
    """Returns the one tracer to all who ask."""

    def __init__(self, tracer):
        self._tracer = tracer

    def get_tracer(self, *_, **__):
        return self._tracer


def has_owner(seen):
    return bool(seen) and None not in seen


def asgi_after_the_last_message(tracer, now):
    seen = []

    async def application(scope, receive, send):  # noqa: ARG001
        await send(START)
        await send(chunk(more=False))
        seen.append(now())

    app = AsgiContrib(application, tracer_provider=Provider(tracer))
    run(lambda: app(http(), *AsgiExchange().ends))
    return has_owner(seen)


def outside_starlette_middleware(tracer, now):
    seen = []

    class Outer:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)
            seen.append(now())

    async def endpoint(scope, receive, send):  # noqa: ARG001
        await send(START)
        await send(chunk(more=False))

    class Endpoint:
        __call__ = staticmethod(endpoint)

    app = Starlette(
        routes=[Route(ROUTE, Endpoint())],
        middleware=[Middleware(Outer), Middleware(StarlettesOwn, tracer_provider=Provider(tracer))],
    )
    run(lambda: app(http(), *AsgiExchange().ends))
    return has_owner(seen)


def before_fastapi_root(tracer, now):  # noqa: ARG001  there is no root yet
    """Return whether the stack names the request where FastAPI starts its root span."""
    seen = []

    class Noting:
        def __getattr__(self, name):
            seen.append(nearest_mark())
            return getattr(tracer, name)

    app = FastAPI(telemetry=telemetry_of(Provider(Noting())))
    app.get(PATH)(lambda: None)
    run(lambda: app(http(), *AsgiExchange().ends))
    return has_owner(seen)


@contextlib.contextmanager
def django_with_contrib(tracer, body):
    """Have Django stream a body, traced by contrib's instrumentation."""
    urls = Urls(lambda _request, item: StreamingHttpResponse(body()))  # noqa: ARG005
    instrumentor = DjangoInstrumentor()
    with override_settings(MIDDLEWARE=[], ROOT_URLCONF=urls):
        instrumentor.instrument(tracer_provider=Provider(tracer))
        try:
            yield
        finally:
            instrumentor.uninstrument()


def django_body_under_asgi(tracer, now):
    seen = []

    async def body():
        seen.append(now())
        yield b"x"

    with django_with_contrib(tracer, body):
        run(lambda: ASGIHandler()(http(), *AsgiExchange().ends))
    return has_owner(seen)


def django_body_under_wsgi(tracer, now):
    seen = []

    def body():
        seen.append(now())
        yield b"x"

    with django_with_contrib(tracer, body):
        WsgiExchange().serve(WSGIHandler())
    return has_owner(seen)


def wsgi_application(tracer, now):
    """Return whether the stack names the request: contrib's span alone gives it a label."""
    seen = []

    def application(_environ, start_response):
        start_response("200 OK", [])
        seen.append(now() if nearest_mark() else None)
        return [b"x"]

    WsgiExchange().serve(WsgiContrib(application, tracer_provider=Provider(tracer)))
    return has_owner(seen)


def flask_body(tracer, now):
    seen = []
    app = flask.Flask(__name__)
    FlaskInstrumentor().instrument_app(app, tracer_provider=Provider(tracer))

    @app.get(PATH)
    def view():
        def body():
            seen.append(now())
            yield b"x"

        return flask.Response(body())

    WsgiExchange().serve(app)
    return has_owner(seen)


def inside_sqlalchemy(tracer, now):
    """Return whether the stack names the request: without the hook a label does."""
    seen = []

    async def main():
        engine = create_async_engine("sqlite+aiosqlite://")
        with tracer.start_as_current_span("A"):
            async with engine.connect() as connection:
                await connection.run_sync(lambda _: seen.append(now() if nearest_mark() else None))
        await engine.dispose()

    run(main)
    return seen == ["A"]


MINIATURES = [
    ("AsgiInstrumentation", "__call__", asgi_after_the_last_message),
    ("FastapiApplications", "__call__", before_fastapi_root),
    ("StarletteApplications", "__call__", outside_starlette_middleware),
    ("DjangoUnderAsgi", "__call__", django_body_under_asgi),
    ("WsgiInstrumentation", "__call__", wsgi_application),
    ("FlaskApplications", "__call__", flask_body),
    ("DjangoUnderWsgi", "__call__", django_body_under_wsgi),
    ("SqlalchemyGreenlets", "__init__", inside_sqlalchemy),
]
ABOUT_MARKS = (before_fastapi_root, wsgi_application, inside_sqlalchemy)
"""Those in which labels alone are as right without the hook."""
