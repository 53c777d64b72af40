"""The ways to set up a Flask application with the extension.

`make()` makes the application, as a factory does.
"""

from __future__ import annotations

import flask
import pytest
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

from pyroscope_otel_flask import Pyroscope

RULE = "/items/<item>"


def serving(answer, route=RULE):
    """Return a factory of an application with one view, which returns `answer()`."""

    def make():
        app = flask.Flask(__name__)
        app.config["PROPAGATE_EXCEPTIONS"] = True
        app.add_url_rule(route, "view", lambda **_: answer(), methods=["GET", "POST"])
        return app

    return make


# The extension applies contrib's instrumentation.


def at_once(make, settings):
    app = make()
    Pyroscope(app, **settings)
    return app


def by_factory(make, settings):
    app = make()
    Pyroscope(**settings).init_app(app)
    return app


def by_config(make, settings):
    app = make()
    app.config.from_mapping({f"PYROSCOPE_{name.upper()}": settings[name] for name in settings})
    Pyroscope(app)
    return app


def instrumented_later(make, settings):
    """Contrib then logs a warning and does nothing."""
    app = at_once(make, settings)
    FlaskInstrumentor.instrument_app(app, tracer_provider=settings["tracer_provider"])
    return app


# Contrib's instrumentation is applied before the extension.


def instrumented(make, settings):
    app = make()
    FlaskInstrumentor.instrument_app(app, tracer_provider=settings["tracer_provider"])
    Pyroscope(app, **settings)
    return app


def instrumented_class(make, settings):
    FlaskInstrumentor().instrument(tracer_provider=settings["tracer_provider"])
    try:
        app = make()
    finally:
        FlaskInstrumentor().uninstrument()
    Pyroscope(app, **settings)
    return app


class Between:
    """A middleware that hides the application that it wraps."""

    def __init__(self, application):
        self._application = application

    def __call__(self, environ, start_response):
        return self._application(environ, start_response)


def instrumented_below_a_middleware(make, settings):
    app = make()
    FlaskInstrumentor.instrument_app(app, tracer_provider=settings["tracer_provider"])
    app.wsgi_app = Between(app.wsgi_app)
    Pyroscope(app, **settings)
    return app


def wsgi_instrumented(make, settings):
    app = make()
    provider = settings["tracer_provider"]
    app.wsgi_app = OpenTelemetryMiddleware(app.wsgi_app, tracer_provider=provider)
    Pyroscope(app, **settings)
    return app


BY_US = (at_once, by_factory, by_config, instrumented_later)
BY_CONTRIB = (instrumented, instrumented_class, instrumented_below_a_middleware)


def each_of(*variants):
    """Run a test once with each variant: its argument `assemble(make)` makes the application."""
    return pytest.mark.parametrize(
        "assemble", variants, ids=lambda one: one.__name__, indirect=True
    )


each_variant = each_of(*BY_US, *BY_CONTRIB)
