"""Parts of frameworks beyond the endpoint: threads, streams, background tasks."""

import asyncio
from functools import partial

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from pyroscope_otel.asgi import PyroscopeMiddleware
from tests.adapters.asgi_variants import ours, telemetry_of
from tests.support.asgi_server import Exchange, each_loop, http, run_asyncio, serve
from tests.support.journal import PATH, ROUTE

each_order = pytest.mark.parametrize("added", [True, False], ids=["added", "around"])
each_tracer = pytest.mark.parametrize("by_itself", [True, False], ids=["native", "ours"])


@pytest.fixture
def fastapi(settings):
    """Return a function that makes a FastAPI application, and one that puts us on it."""

    def make(by_itself):
        provider = settings["tracer_provider"]
        return FastAPI(telemetry=telemetry_of(provider) if by_itself else {"tracing": False})

    def finish(app, added):
        if not added:
            return PyroscopeMiddleware(app, **settings)
        app.add_middleware(PyroscopeMiddleware, **settings)
        return app

    return make, finish


def serve_one(run, app, journal):
    exchange = Exchange()
    run(partial(serve, app, exchange, http()))
    journal.check()
    assert exchange.statuses == [200]
    return exchange


@each_loop
@each_tracer
@each_order
def test_sync_endpoint_dependencies_and_background_task(run, by_itself, added, fastapi, journal):
    make, finish = fastapi
    app = make(by_itself)

    def dependency():
        journal.note_in_pool()
        yield
        journal.note_in_pool()

    @app.get(ROUTE, dependencies=[Depends(dependency)])
    def endpoint(background: BackgroundTasks):
        journal.note_in_pool()
        background.add_task(journal.note_in_pool)
        background.add_task(journal.note_everywhere)

    serve_one(run, finish(app, added), journal)
    assert len(journal.ids) == 18


@each_loop
@each_tracer
@each_order
def test_sync_streaming_body(run, by_itself, added, fastapi, journal):
    make, finish = fastapi
    app = make(by_itself)

    def chunks():
        for _ in range(3):
            journal.note_in_pool()
            yield b"x"
        journal.note_in_pool()

    @app.get(ROUTE)
    def endpoint():
        background = BackgroundTask(journal.note_in_pool)
        return StreamingResponse(chunks(), background=background)

    assert serve_one(run, finish(app, added), journal).body == b"xxx"
    assert len(journal.ids) == 15


@each_loop
@each_tracer
@each_order
def test_async_streaming_body(run, by_itself, added, fastapi, journal):
    make, finish = fastapi
    app = make(by_itself)

    async def chunks():
        for _ in range(3):
            await journal.note_everywhere()
            yield b"x"
        await journal.note_everywhere()

    @app.get(ROUTE)
    async def endpoint():
        await journal.note_everywhere()
        return StreamingResponse(chunks(), background=BackgroundTask(journal.note_everywhere))

    assert serve_one(run, finish(app, added), journal).body == b"xxx"


@each_loop
@pytest.mark.parametrize("inside", [True, False])
def test_base_http_middleware(run, inside, settings, journal):
    async def dispatch(request, call_next):
        await journal.note_everywhere()
        response = await call_next(request)
        await journal.note_everywhere()
        return response

    async def note(_request):
        await journal.note_everywhere()
        return PlainTextResponse("x", background=BackgroundTask(journal.note_everywhere))

    app = Starlette(routes=[Route(ROUTE, note)])
    if inside:
        app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    app.add_middleware(PyroscopeMiddleware, **settings)
    serve_one(run, app, journal)


def test_child_task_and_executor(settings, journal):
    async def endpoint(_request):
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, journal.note)
        await asyncio.gather(*(asyncio.create_task(journal.note_everywhere()) for _ in range(3)))
        return PlainTextResponse("x")

    app = Starlette(routes=[Route(ROUTE, endpoint)], middleware=[ours(settings)])
    serve_one(run_asyncio, app, journal)


@each_loop
def test_worker_threads_are_left_without_labels(run, settings, journal, recorder):
    """A label left by an earlier job of the request would be on the next job."""
    left = []

    async def main():
        import anyio.to_thread

        await serve(app, Exchange(), http(PATH))
        left.append(await anyio.to_thread.run_sync(recorder.now))
        left.append(journal.pool.submit(recorder.now).result())

    async def endpoint(_request):
        await journal.note_everywhere()
        return PlainTextResponse("x")

    app = Starlette(routes=[Route(ROUTE, endpoint)], middleware=[ours(settings)])
    run(main)
    assert left == [{}, {}]
