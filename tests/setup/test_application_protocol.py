"""ASGI or WSGI: recognized by an application's parameters, and refused by the wrong middleware."""

from __future__ import annotations

import functools
import re

import flask
import pytest
import starlette.applications

from pyroscope_otel import asgi, wsgi
from pyroscope_otel.setup import configuration
from pyroscope_otel.setup.application_protocol import protocol_of


async def asgi_function(scope, receive, send): ...


def wsgi_function(environ, start_response): ...


def wsgi_with_options(environ, start_response, *, exc_info=None, more=None): ...


def wsgi_with_a_default(environ, start_response, more=None): ...


def anything(*arguments): ...


@functools.wraps(wsgi_function)
def wrapped(*arguments): ...


class Asgi:
    def __call__(self, scope, receive, send): ...


class Wsgi:
    def __call__(self, environ, start_response): ...


class Asgi2:
    """A double callable: its class is the application."""

    def __init__(self, scope): ...


@pytest.mark.parametrize(
    ("app", "protocol"),
    [
        (asgi_function, "asgi"),
        (Asgi(), "asgi"),
        (Asgi().__call__, "asgi"),
        (starlette.applications.Starlette(), "asgi"),
        (functools.partial(asgi_function, "scope"), "asgi"),
        (wsgi_function, "wsgi"),
        (wsgi_with_options, "wsgi"),
        (wsgi_with_a_default, "wsgi"),
        (Wsgi(), "wsgi"),
        (flask.Flask("shop"), "wsgi"),
        (flask.Flask("shop").wsgi_app, "wsgi"),
        (anything, None),
        (wrapped, "wsgi"),
        (Asgi2, None),
        (object(), None),
    ],
)
def test_protocol_of_an_application(app, protocol):
    assert protocol_of(app) == protocol


@pytest.mark.parametrize(
    ("middleware", "app", "message"),
    [
        (
            asgi.PyroscopeMiddleware,
            wsgi_function,
            (
                "pyroscope_otel.asgi.PyroscopeMiddleware needs an ASGI application; this "
                "builtins.function is a WSGI application. It needs "
                "pyroscope_otel.wsgi.PyroscopeMiddleware"
            ),
        ),
        (
            asgi.PyroscopeMiddleware,
            flask.Flask("shop"),
            (
                "pyroscope_otel.asgi.PyroscopeMiddleware needs an ASGI application; this "
                "flask.app.Flask is a WSGI application. It needs "
                "pyroscope_otel.wsgi.PyroscopeMiddleware, or better pyroscope_otel_flask.Pyroscope"
            ),
        ),
        (
            wsgi.PyroscopeMiddleware,
            starlette.applications.Starlette(),
            (
                "pyroscope_otel.wsgi.PyroscopeMiddleware needs a WSGI application; this "
                "starlette.applications.Starlette is an ASGI application. It needs "
                "pyroscope_otel.asgi.PyroscopeMiddleware"
            ),
        ),
    ],
)
def test_wrong_middleware_refuses_the_application_at_start_up(middleware, app, message):
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        middleware(app, application_name="shop")
    assert configuration._process.installed is None
