"""ASGI requests that others trace, without our middleware, are held from edge to edge."""

from __future__ import annotations

from functools import partial

import anyio
import anyio.lowlevel
import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind
from starlette.middleware import Middleware

from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from tests.following.held_case import EVERYWHERE, Endpoint, Outermost, normal, stream
from tests.following.samples import Samples
from tests.following.traced_apps import (
    contrib,
    contrib_fastapi,
    contrib_starlette,
    each_asgi,
    each_of,
    starlette_middleware,
    tracing_fastapi,
)
from tests.support.asgi_server import (
    Exchange,
    chunk,
    each_loop,
    http,
    run_asyncio,
    serve,
    start_and_stop,
    websocket,
)
from tests.support.journal import AppError, AppExit, raises_just

TRACEPARENT = (b"traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")


on_asyncio = pytest.mark.parametrize("run", [pytest.param(run_asyncio, id="asyncio")])


@each_loop
@each_asgi
def test_all_of_a_request_belongs_to_it(run, assemble, case):
    exchange = Exchange()
    app = case.put_together(assemble)
    run(partial(serve, app, exchange, http()))
    assert case.samples.places() == EVERYWHERE
    case.check()
    assert exchange.body == b"xxxx"


@each_loop
@each_of(contrib, contrib_fastapi, contrib_starlette, tracing_fastapi)
def test_websocket(run, assemble, case):
    async def session(samples, receive, send):
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            await samples.take_everywhere("streaming")
            await send({"type": "websocket.send", "text": "x"})

    exchange = Exchange(
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "a"},
        {"type": "websocket.receive", "text": "b"},
        {"type": "websocket.disconnect", "code": 1000},
    )
    app = case.put_together(assemble, session)
    run(partial(serve, app, exchange, websocket()))
    case.check()
    assert [message["type"] for message in exchange.sent[1:]] == ["websocket.send"] * 2


@on_asyncio
@each_asgi
@pytest.mark.parametrize("kind", [AppError, AppExit])
@pytest.mark.parametrize("when", ["at once", "streaming", "afterwards"])
def test_exceptions_arrive_unchanged(run, assemble, kind, when, case):
    async def answer(samples, receive, send):
        await receive()
        if when != "at once":
            await stream(samples, send)
        if when == "afterwards":
            await send(chunk(more=False))
        raise error

    error = kind()
    app = case.put_together(assemble, answer)
    with raises_just(error):
        run(partial(serve, app, Exchange(), http()))
    case.check()


@on_asyncio
@each_asgi
def test_client_disconnects(run, assemble, case):
    async def answer(samples, receive, send):
        await receive()
        await stream(samples, send)
        assert (await receive())["type"] == "http.disconnect"
        await samples.take_everywhere("streaming")

    app = case.put_together(assemble, answer)
    exchange = Exchange({"type": "http.request"}, {"type": "http.disconnect"})
    run(partial(serve, app, exchange, http()))
    case.check()


@on_asyncio
@each_asgi
def test_send_raises_because_the_client_is_gone(run, assemble, case):
    gone = OSError("gone")

    class Gone(Exchange):
        async def send(self, message):
            await super().send(message)
            if len(self.sent) == 2:
                raise gone

    app = case.put_together(assemble)
    with raises_just(gone):
        run(partial(serve, app, Gone(), http()))
    case.check()


@on_asyncio
@each_asgi
def test_cancellation(run, assemble, case):
    async def answer(samples, receive, send):
        await receive()
        await stream(samples, send)
        streamed.set()
        try:
            await anyio.sleep_forever()
        finally:
            samples.take("streaming")

    async def main():
        nonlocal streamed
        streamed = anyio.Event()
        await start_and_stop(app)
        async with anyio.create_task_group() as group:
            group.start_soon(app, http(), *Exchange().ends)
            await streamed.wait()
            group.cancel_scope.cancel()

    streamed = None

    class Hurried(Outermost):
        async def __call__(self, scope, receive, send):
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
                return
            self._samples.take("before")
            try:
                await self.app(scope, receive, send)
            finally:
                self._samples.take("after")

    middleware = [Middleware(Hurried, case.samples)]
    app = assemble(Endpoint(case.samples, answer), case.provider, middleware)
    run(main)
    assert "after" in case.samples.places()
    case.check()


@on_asyncio
@each_asgi
def test_server_code_belongs_to_no_request(run, assemble, case):
    """Around a request, between its steps, and in the `send` of the server."""

    class Server(Exchange):
        async def main(self):
            await start_and_stop(app)
            seen.append(case.recorder.sample())
            await app(http(), *self.ends)
            seen.append(case.recorder.sample())
            await anyio.lowlevel.checkpoint()
            seen.append(case.recorder.sample())

    seen = []
    app = case.put_together(assemble)
    run(Server().main)
    assert [upload() for upload in seen] == [{}] * 3


# Requests that are not traced


@on_asyncio
@each_asgi
def test_unsampled_request(run, assemble, case):
    case.provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    case.provider.add_span_processor(PyroscopeSpanProcessor())
    exchange = Exchange()
    app = case.put_together(assemble)
    run(partial(serve, app, exchange, http()))
    assert case.samples.places() == EVERYWHERE
    assert case.samples.ids() == {None}
    assert exchange.body == b"xxxx"


@on_asyncio
@each_of(contrib, contrib_fastapi, starlette_middleware)
def test_untraced_request(run, assemble, case):
    exchange = Exchange()
    app = case.put_together(assemble, excluded_urls="items")
    run(partial(serve, app, exchange, http()))
    assert case.profile_ids() == []
    assert case.samples.places() == EVERYWHERE
    assert case.samples.ids() == {None}
    assert exchange.body == b"xxxx"


# Several requests


@on_asyncio
@each_asgi
def test_keep_alive(run, assemble, case):
    """A request in the context of the previous one, whose ended span is still current."""
    tracer = case.provider.get_tracer("before")
    app = case.put_together(assemble)

    async def main():
        await start_and_stop(app)
        with tracer.start_as_current_span("before", kind=SpanKind.SERVER) as before:
            before.end()
            await app(http(headers=[(b"host", b"shop.test"), TRACEPARENT]), *Exchange().ends)

    run(main)
    before, profile_id = case.profile_ids()
    assert case.samples.ids(*case.known_places) == {profile_id}
    assert before not in case.samples.ids()


@each_loop
@each_asgi
def test_overlapping_requests(run, assemble, case):
    async def answer(samples, receive, send):
        nonlocal begun
        begun += 1
        if begun == len(requests):
            all_begun.set()
        await all_begun.wait()
        await normal(samples, receive, send)

    class Each:
        """Takes the samples of each request for itself."""

        def __init__(self, app=None, samples=None):  # noqa: ARG002  as a middleware
            self.app = app

        async def __call__(self, scope, receive, send):
            if scope["type"] == "lifespan":
                if self.app is not None:
                    await self.app(scope, receive, send)
                return
            of_this = requests[int(dict(scope["headers"])[b"number"])]
            inner = Endpoint(of_this, answer) if self.app is None else Outermost(self.app, of_this)
            await inner(scope, receive, send)

    async def main():
        nonlocal all_begun
        all_begun = anyio.Event()
        await start_and_stop(app)
        async with anyio.create_task_group() as group:
            for number in range(len(requests)):
                headers = [(b"host", b"shop.test"), (b"number", b"%d" % number)]
                group.start_soon(app, http(headers=headers), *Exchange().ends)

    requests = [Samples(case.recorder) for _ in range(5)]
    begun, all_begun = 0, None
    app = assemble(Each(), case.provider, [Middleware(Each)])
    run(main)
    known = EVERYWHERE - ({"before"} if case.attribution == "thread" else set())
    ids = [samples.ids(*known) for samples in requests]
    assert all(len(each) == 1 for each in ids)
    assert set().union(*ids) == set(case.profile_ids())


@on_asyncio
@each_of(tracing_fastapi, starlette_middleware)
def test_application_called_inside_a_request(run, assemble, case):
    """Each has its own root span. Contrib makes the inner span a child: see below."""

    async def call(samples, receive, send):
        transport = httpx.ASGITransport(inner_app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
            response = await client.get("/items/7")
        assert response.content == b"xxxx"
        await samples.take_everywhere("endpoint")
        await normal(samples, receive, send)

    outer, inner = Samples(case.recorder), Samples(case.recorder)
    inner_app = assemble(Endpoint(inner, normal), case.provider)
    app = assemble(Endpoint(outer, call), case.provider)
    run(partial(serve, app, Exchange(), http()))
    of_outer, of_inner = case.profile_ids()
    assert outer.ids() == {of_outer}
    assert inner.ids() == {of_inner}


@on_asyncio
@each_of(contrib, contrib_fastapi, contrib_starlette)
def test_application_called_inside_a_request_under_contrib(run, assemble, case):
    async def call(samples, receive, send):
        transport = httpx.ASGITransport(inner_app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
            await client.get("/items/7")
        await normal(samples, receive, send)

    outer, inner = Samples(case.recorder), Samples(case.recorder)
    inner_app = assemble(Endpoint(inner, normal), case.provider)
    run(partial(serve, assemble(Endpoint(outer, call), case.provider), Exchange(), http()))
    (profile_id,) = case.profile_ids()
    assert outer.ids() == {profile_id}
    assert inner.ids() == {profile_id}
