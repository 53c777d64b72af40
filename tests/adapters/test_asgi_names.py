"""Names of root spans and their label: the route's template, or the method alone."""

from functools import partial

import pytest
from fastapi import APIRouter, FastAPI
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Host, Mount, Route, WebSocketRoute

from pyroscope_otel.asgi import PyroscopeMiddleware
from tests.adapters.asgi_variants import bare, ours, starlettes_own, telemetry_of
from tests.support.asgi_server import Exchange, http, run_asyncio, serve, websocket
from tests.support.journal import PATH, AppError, AppExit

ADDED = ("add", "span_name")


@pytest.fixture
def labels(recorder, journal, labels_only):  # noqa: ARG001  labels are on a thread there
    """Return a function for all values of `span_name` so far: on threads, and at an upload now."""

    def labels():
        on_threads = [value for what, key, value in recorder.log if (what, key) == ADDED]
        return {*on_threads, *journal.names()}

    return labels


async def endpoint(scope, receive, send):
    await PlainTextResponse("x")(scope, receive, send)


async def session(scope, receive, send):  # noqa: ARG001
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 1000})


class Endpoint:
    """An ASGI application as an endpoint: Starlette takes functions as views."""

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return
        await (session if scope["type"] == "websocket" else endpoint)(scope, receive, send)


def answer(scope):
    """Return the application that serves a connection of this scope."""
    exchange = Exchange({"type": "websocket.connect"}) if "method" not in scope else Exchange()
    return exchange, scope


ROUTES = [
    Route("/items/{item}", Endpoint()),
    WebSocketRoute("/items/{item}", Endpoint()),
    Mount("/shops/{shop}", routes=[Route("/items/{item:int}", Endpoint()), Route("/", Endpoint())]),
    Mount("/files", Endpoint()),
    Mount("/trees/{tree:path}", routes=[Route("/leaf", Endpoint())]),
]
ROUTES.insert(0, Host("{sub}.other.test", app=Endpoint()))

STARLETTE = [
    (http("/items/7"), "GET /items/{item}"),
    (http("/items/7", "HEAD"), "HEAD /items/{item}"),
    (http("/items/7", "PROPFIND"), "HTTP /items/{item}"),
    (http("/shops/3/items/7"), "GET /shops/{shop}/items/{item}"),
    (http("/shops/3/"), "GET /shops/{shop}/"),
    (http("/shops/3/nothing/7"), "GET /shops/{shop}"),
    (http("/files/etc/passwd"), "GET /files"),
    (http("/trees/a/b/leaf"), "GET"),
    (http("/items/7", headers=[(b"host", b"a.other.test")]), "GET"),
    (http("/nothing/7"), "GET"),
    (http("/nothing/7", "\u0000 x"), "HTTP"),
    (websocket("/items/7"), "WS /items/{item}"),
    (websocket("/nothing/7"), "WS"),
]


@pytest.mark.parametrize(("scope", "name"), STARLETTE)
def test_starlette(scope, name, settings, journal, labels):
    app = Starlette(routes=ROUTES, middleware=[ours(settings)])
    exchange, scope = answer(dict(scope))
    run_asyncio(partial(serve, app, exchange, scope))
    (root,) = journal.roots()
    assert root.name == name
    assert labels() <= {name, name.partition(" ")[0]}


# FastAPI, traced by us and by itself


def fastapi(telemetry):
    app = FastAPI(telemetry=telemetry)
    router = APIRouter(prefix="/v1")

    @router.get("/items/{item}")
    @app.get("/items/{item}")
    async def item(item: int):
        return item

    app.include_router(router)
    app.mount("/shops/{shop}", FastAPI(routes=app.routes, telemetry=telemetry))
    return app


FASTAPI = [
    (http("/items/7"), "GET /items/{item}"),
    (http("/v1/items/7"), "GET /v1/items/{item}"),
    (http("/shops/3/items/7"), "GET /shops/{shop}/items/{item}"),
    (http("/items/x"), "GET /items/{item}"),  # It does not validate: 422.
    (http("/items/7", "PATCH"), "PATCH /items/{item}"),  # It is not allowed: 405.
    (http("/nothing/7"), "GET"),
]


@pytest.mark.parametrize("added", [True, False])
@pytest.mark.parametrize("by_itself", [True, False])
@pytest.mark.parametrize(("scope", "name"), FASTAPI)
def test_fastapi(scope, name, added, by_itself, settings, journal, labels):  # noqa: PLR0913, PLR0917
    app = fastapi(telemetry_of(settings["tracer_provider"]) if by_itself else {"tracing": False})
    if added:
        app.add_middleware(PyroscopeMiddleware, **settings)
    else:
        app = PyroscopeMiddleware(app, **settings)
    run_asyncio(partial(serve, app, Exchange(), dict(scope)))
    (root,) = journal.roots()
    assert root.name == name
    # Before that it may be the route of the mount alone.
    assert labels() <= {name, name.partition(" ")[0], "GET /shops/{shop}/{path}"}


# Others name the root span. Its label still has no raw path.


@pytest.mark.parametrize("path", ["/items/7", "/nothing/7"])
def test_labels_if_contrib_names_the_span(path, settings, labels):
    provider = settings["tracer_provider"]
    app = PyroscopeMiddleware(
        OpenTelemetryMiddleware(Endpoint(), tracer_provider=provider), **settings
    )
    run_asyncio(partial(serve, app, Exchange(), http(path)))
    assert labels() == {"GET"}


@pytest.mark.parametrize("instrumentor", [StarletteInstrumentor, FastAPIInstrumentor])
def test_labels_if_an_instrumentor_names_the_span(instrumentor, settings, labels):
    app = Starlette(routes=ROUTES) if instrumentor is StarletteInstrumentor else fastapi({})
    instrumentor.instrument_app(app, tracer_provider=settings["tracer_provider"])
    app.add_middleware(PyroscopeMiddleware, **settings)
    for path in ("/items/7", "/nothing/7"):
        run_asyncio(partial(serve, app, Exchange(), http(path)))
    assert labels() == {"GET /items/{item}", "GET"}


def test_labels_if_the_starlette_middleware_names_the_span(settings, labels, journal):
    app = Starlette(routes=ROUTES, middleware=[starlettes_own(settings), ours(settings)])
    for path in ("/items/7", "/nothing/7"):
        run_asyncio(partial(serve, app, Exchange(), http(path)))
    assert [root.name for root in journal.roots()] == ["GET /items/{item}", "GET"]
    assert labels() <= {"GET /items/{item}", "GET"}


# Litestar leaves its own route; other applications may leave none.


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, "GET"),
        ({"path_template": "/a/{b}"}, "GET /a/{b}"),
        ({"path_template": None}, "GET"),
        ({"route": object()}, "GET"),
    ],
)
def test_scope_that_the_application_changes(more, name, settings, journal):
    async def app(scope, receive, send):
        scope.update(more)
        await endpoint(scope, receive, send)

    exchange = Exchange()
    run_asyncio(partial(bare(app, settings), http(PATH), *exchange.ends))
    (root,) = journal.roots()
    assert root.name == name
    assert root.attributes.get("http.route") == (name[4:] or None)


@pytest.mark.parametrize("kind", [AppError, AppExit])
def test_name_of_a_request_whose_endpoint_raises(settings, kind, journal):
    async def fails(_request):
        raise kind("no stock")

    app = Starlette(routes=[Route("/items/{item}", fails)], middleware=[ours(settings)])
    with pytest.raises(kind):
        run_asyncio(partial(serve, app, Exchange(), http("/items/7")))
    (root,) = journal.roots()
    assert root.name == "GET /items/{item}"


def test_name_is_known_while_the_body_is_streamed(settings, now):
    names = []

    async def chunks():
        names.append(now())
        yield b"x"
        names.append(now())

    async def view(_request):
        names.append(now())
        return StreamingResponse(chunks())

    app = Starlette(routes=[Route("/items/{item}", view)], middleware=[ours(settings)])
    run_asyncio(partial(serve, app, Exchange(), http()))
    assert names == ["GET", "GET /items/{item}", "GET /items/{item}"]
