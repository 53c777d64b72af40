"""WSGI applications by which library makes the root span, outside our middleware or inside it."""

from __future__ import annotations

import flask
import pytest
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

from pyroscope_otel.wsgi import PyroscopeMiddleware
from tests.support.journal import ROUTE

# `answer()` returns a body: user code of an application or a view.


def application(answer):
    """Return user code as a WSGI application."""

    def application(_environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return answer()

    return application


def flask_application(answer):
    """Return user code as a Flask application."""
    app = flask.Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = True

    @app.get(ROUTE.replace("{", "<").replace("}", ">"))
    def view(item):  # noqa: ARG001
        return flask.Response(answer())

    return app


# We make the root span.


def bare(answer, settings):
    return PyroscopeMiddleware(application(answer), **settings)


def flask_inside(answer, settings):
    return PyroscopeMiddleware(flask_application(answer), **settings)


def in_flask(answer, settings):
    app = flask_application(answer)
    app.wsgi_app = PyroscopeMiddleware(app.wsgi_app, **settings)
    return app


# Our middleware twice.


def twice(answer, settings):
    return PyroscopeMiddleware(bare(answer, settings), **settings)


def twice_with_another_between(answer, settings):
    """With a middleware in between that wraps the body and closes what it wraps."""
    inner = bare(answer, settings)

    class Body:
        def __init__(self, body):
            self.chunks = iter(body)
            self.body = body

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.chunks)

        def close(self):
            if hasattr(self.body, "close"):
                self.body.close()

    def between(environ, start_response):
        return Body(inner(environ, start_response))

    return PyroscopeMiddleware(between, **settings)


def nested_flasks(answer, settings):
    outer = flask.Flask(__name__)
    outer.wsgi_app = PyroscopeMiddleware(in_flask(answer, settings), **settings)
    return PyroscopeMiddleware(outer, **settings)


# An instrumentation is outside.


def contrib_outside(answer, settings):
    app = bare(answer, settings)
    return OpenTelemetryMiddleware(app, tracer_provider=settings["tracer_provider"])


def contrib_outside_flask(answer, settings):
    app = in_flask(answer, settings)
    return OpenTelemetryMiddleware(app, tracer_provider=settings["tracer_provider"])


# The application traces itself.


def instrumented_flask(answer, settings):
    app = flask_application(answer)
    FlaskInstrumentor().instrument_app(app, tracer_provider=settings["tracer_provider"])
    return app


def contrib_inside(answer, settings):
    provider = settings["tracer_provider"]
    app = OpenTelemetryMiddleware(application(answer), tracer_provider=provider)
    return PyroscopeMiddleware(app, **settings)


def instrumented_flask_inside(answer, settings):
    return PyroscopeMiddleware(instrumented_flask(answer, settings), **settings)


def in_instrumented_flask(answer, settings):
    app = instrumented_flask(answer, settings)
    app.wsgi_app = PyroscopeMiddleware(app.wsgi_app, **settings)
    return app


def in_flask_instrumented_later(answer, settings):
    app = in_flask(answer, settings)
    FlaskInstrumentor().instrument_app(app, tracer_provider=settings["tracer_provider"])
    return app


def instrumented_flask_inside_twice(answer, settings):
    return PyroscopeMiddleware(in_instrumented_flask(answer, settings), **settings)


OURS = (bare, flask_inside, in_flask)
MORE_OF_US = (twice, twice_with_another_between, nested_flasks)
OUTSIDE = (contrib_outside, contrib_outside_flask)
INSIDE = (
    contrib_inside,
    instrumented_flask_inside,
    in_instrumented_flask,
    in_flask_instrumented_later,
    instrumented_flask_inside_twice,
)

FAILURES = (AssertionError, ValueError, pytest.fail.Exception)
VARIANTS = OURS + MORE_OF_US + OUTSIDE + INSIDE


def each_of(*variants):
    """Run a test once for each variant: its argument `assemble(answer)` makes the application."""
    return pytest.mark.parametrize("assemble", variants, ids=_name_of, indirect=True)


def _name_of(variant):
    return variant.__name__


each_variant = each_of(*VARIANTS)


def variants_but(failing, reason):
    """Return `each_variant` with some expected to fail, for a reason outside our code."""
    mark = pytest.mark.xfail(strict=True, raises=FAILURES, reason=reason)
    return each_of(*(pytest.param(v, marks=mark) if v in failing else v for v in VARIANTS))
