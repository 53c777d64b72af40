"""Wrong settings stop the start-up, "off" is off, and our own failures break no request."""

import logging
import subprocess
import sys
from functools import partial

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse

from pyroscope_otel import asgi, wsgi
from pyroscope_otel.link import failure, held_request, processor, switch, through_marks
from pyroscope_otel.link.attribution import Hold
from pyroscope_otel.setup.settings import SettingsError
from tests.adapters.asgi_variants import added_to_starlette
from tests.adapters.asgi_variants import bare as bare_asgi
from tests.adapters.wsgi_variants import bare as bare_wsgi
from tests.support.asgi_server import (
    LIFESPAN,
    STARTUP,
    Exchange,
    http,
    run_asyncio,
    serve,
    websocket,
)
from tests.support.child import run as run_child
from tests.support.wsgi_server import Exchange as WsgiExchange
from tests.support.wsgi_server import environ

BAD = {"sample_rat": 5}
MESSAGE = "argument sample_rat is not a setting; did you mean argument sample_rate?"


async def endpoint(scope, receive, send):
    await PlainTextResponse("x")(scope, receive, send)


def wsgi_endpoint(environ, start_response):  # noqa: ARG001  the protocol's
    start_response("200 OK", [])
    return [b"x"]


each_adapter = pytest.mark.parametrize(
    ("kind", "adapter", "app"),
    [("asgi", asgi, endpoint), ("wsgi", wsgi, wsgi_endpoint)],
    ids=["asgi", "wsgi"],
)


@each_adapter
def test_wrong_settings_raise_at_construction(kind, adapter, app, settings):  # noqa: ARG001  for the next
    with pytest.raises(SettingsError) as caught:
        adapter.PyroscopeMiddleware(app, **settings, **BAD)
    assert str(caught.value) == MESSAGE


@pytest.mark.parametrize("framework", [Starlette, FastAPI])
def test_wrong_settings_in_a_framework_fail_the_startup(framework, settings):
    app = framework()
    app.add_middleware(asgi.PyroscopeMiddleware, **settings, **BAD)
    lifespan = Exchange(STARTUP)
    with pytest.raises(SettingsError, match=MESSAGE[:-1]):
        run_asyncio(partial(app, dict(LIFESPAN), *lifespan.ends))
    assert lifespan.sent == [{"type": "lifespan.startup.failed", "message": MESSAGE}]


@pytest.mark.parametrize("framework", ["Starlette", "FastAPI"])
def test_wrong_settings_in_a_framework_are_raised_by_its_test_client(framework):
    """Like an exception in the application's own lifespan. It once hung at the end."""
    entered = """
from starlette.testclient import TestClient
try:
    with TestClient(app):
        print("started")
except ValueError as error:
    print(error)
"""
    code = SERVER.format(framework=framework, setting="sample_rat=5") + entered
    assert run_child(code) == [MESSAGE]


@pytest.mark.parametrize("scope", [http(), websocket()], ids=["http", "websocket"])
def test_wrong_settings_in_a_framework_fail_requests_without_a_lifespan(scope, settings):
    app = Starlette()
    app.add_middleware(asgi.PyroscopeMiddleware, **settings, **BAD)
    with pytest.raises(SettingsError) as caught:
        run_asyncio(partial(app, dict(scope), *Exchange().ends))
    assert str(caught.value) == MESSAGE


SERVER = """
from fastapi import FastAPI
from starlette.applications import Starlette
from pyroscope_otel.asgi import PyroscopeMiddleware

app = {framework}()
app.add_middleware(PyroscopeMiddleware, application_name="shop", {setting})
"""


SERVERS = {
    "uvicorn": "import uvicorn\nuvicorn.run(app, port=0)\n",
    "hypercorn": """
import asyncio
from hypercorn.asyncio import serve
from hypercorn.config import Config
config = Config()
config.bind = ["127.0.0.1:0"]
asyncio.run(serve(app, config))
""",
}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("framework", ["Starlette", "FastAPI"])
def test_server_does_not_start_with_wrong_settings(framework, server):
    code = SERVER.format(framework=framework, setting="sample_rat=5") + SERVERS[server]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode != 0
    assert MESSAGE in done.stderr
    assert "unning on" not in done.stderr


# Switched off


def test_disabled_asgi_middleware_passes_everything_through(settings):
    calls = []

    async def app(*arguments):
        calls.append(arguments)

    middleware = bare_asgi(app, settings | {"enabled": False})
    given = [(dict(scope), *Exchange().ends) for scope in (http(), websocket(), LIFESPAN)]
    for arguments in given:
        run_asyncio(partial(middleware, *arguments))
    assert calls == given
    assert all(call[0] is arguments[0] for call, arguments in zip(calls, given, strict=True))


def test_disabled_wsgi_middleware_passes_everything_through(settings):
    calls = []
    body = iter([b"x"])

    def app(*arguments):
        calls.append(arguments)
        return body

    given = environ(), WsgiExchange().start_response
    middleware = wsgi.PyroscopeMiddleware(app, **settings, enabled=False)
    assert middleware(*given) is body
    assert calls == [given]


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_disabled_middleware_imports_no_instrumentation(kind):
    assert run_child(
        f"""
from pyroscope_otel.{kind} import PyroscopeMiddleware
PyroscopeMiddleware(print, enabled=False)
print([name for name in sys.modules if name.startswith("opentelemetry.instrumentation")])
"""
    ) == ["[]"]


# No instrumentation


@each_adapter
def test_missing_instrumentation(kind, adapter, app, settings, monkeypatch):
    monkeypatch.setitem(sys.modules, f"opentelemetry.instrumentation.{kind}", None)
    with pytest.raises(ImportError) as caught:
        adapter.PyroscopeMiddleware(app, **settings)
    assert str(caught.value) == (
        f"pyroscope_otel.{kind}.PyroscopeMiddleware needs opentelemetry-instrumentation-{kind} "
        "to make a root span for each request, as this application is not instrumented yet. "
        f"Install it with: pip install 'opentelemetry-instrumentation-{kind}>=0.56b0'"
    )
    assert caught.value.name == f"opentelemetry.instrumentation.{kind}"


def test_missing_instrumentation_under_the_starlette_middleware(settings, monkeypatch):
    """Only websockets need it, so the application starts."""
    from tests.adapters.asgi_variants import starlettes_own_in_starlette_inside

    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.asgi", None)
    app = starlettes_own_in_starlette_inside(Endpoint(), settings)
    exchange = Exchange()
    run_asyncio(partial(serve, app, exchange, http()))
    assert exchange.statuses == [200]


# Our own failures


class Endpoint:
    async def __call__(self, scope, receive, send):
        if scope["type"] != "lifespan":
            await endpoint(scope, receive, send)


class OurError(Exception):
    """Raised in our code, in place of a bug."""


def fail(*_arguments):
    raise OurError


@pytest.fixture
def failures(monkeypatch, caplog):
    """Return the logged failures of ours, as in production."""
    monkeypatch.setattr(failure, "reraise", False)
    monkeypatch.setattr(failure, "_reported", set())
    caplog.set_level(logging.ERROR, logger="pyroscope_otel")

    def failures():
        return [record for record in caplog.records if record.exc_info[0] is OurError]

    return failures


PLACES = [
    (held_request, "is_traced_outside", "hold a request's profile"),
    (switch, "current_context", "follow the current context"),
    (switch, "change", None),
    (Hold, "take", None),
    (switch, "names_owner", None),
    (through_marks, "names_owner", None),
    (processor, "Profile", "find the profile of a span"),
    (Hold, "close", "release a request's profile"),
]


def bodies_asgi(settings):
    exchanges = [Exchange(), Exchange()]
    app = added_to_starlette(Endpoint(), settings)
    for exchange in exchanges:
        run_asyncio(partial(serve, app, exchange, http()))
    return [exchange.body for exchange in exchanges]


def bodies_wsgi(settings):
    exchanges = [WsgiExchange(), WsgiExchange()]
    app = bare_wsgi(lambda: iter([b"x"]), settings)
    for exchange in exchanges:
        exchange.serve(app)
    return [b"".join(exchange.chunks) for exchange in exchanges]


def test_failure_to_name_a_span_changes_nothing(settings, failures, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(asgi, "_route", fail)
        assert bodies_asgi(settings) == [b"x", b"x"]
    assert [record.args[0] for record in failures()] == ["name a root span after its route"]


@pytest.mark.parametrize("serve_two", [bodies_asgi, bodies_wsgi])
@pytest.mark.parametrize(("owner", "name", "where"), PLACES)
def test_our_failures_are_logged_once_and_change_nothing(  # noqa: PLR0913, PLR0917
    owner, name, where, serve_two, settings, failures, monkeypatch
):
    with monkeypatch.context() as broken:
        broken.setattr(owner, name, fail)
        assert serve_two(settings) == [b"x", b"x"]
    places = [record.args[0] for record in failures()]
    assert len(set(places)) == len(places)
    assert where is None or any(place.endswith(where) for place in places)
