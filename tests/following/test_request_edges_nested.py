"""One request has one hold, however many edges and middlewares it passes."""

from __future__ import annotations

import gc
from functools import partial

import pytest
from anyio.lowlevel import checkpoint
from fastapi import BackgroundTasks, FastAPI
from opentelemetry.context import Context
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.responses import StreamingResponse
from starlette.routing import Mount

import pyroscope_otel
from pyroscope_otel.asgi import PyroscopeMiddleware
from pyroscope_otel.link.attribution import Hold
from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from tests.adapters.asgi_variants import telemetry_of
from tests.following.held_case import EVERYWHERE, Endpoint, Outermost, normal
from tests.following.samples import Samples
from tests.following.traced_apps import (
    contrib,
    contrib_fastapi,
    each_asgi,
    starlette_middleware,
    tracing_fastapi,
)
from tests.support.asgi_server import Exchange, http, run_asyncio, serve
from tests.support.journal import PATH


@pytest.fixture
def settings(case):
    yield {"application_name": "shop", "tracer_provider": case.provider}
    pyroscope_otel.shutdown()


def open_holds():
    return [each for each in gc.get_objects() if type(each) is Hold and not each.is_closed]


# Each takes user code as an ASGI application, our settings, and the tracer provider.


def one_in_another(endpoint, settings, provider):  # noqa: ARG001
    """Contrib's middleware and FastAPI's, both."""
    return contrib(contrib_fastapi(endpoint, provider), provider)


def ours_outside(endpoint, settings, provider):
    return PyroscopeMiddleware(tracing_fastapi(endpoint, provider), **settings)


def ours_inside(endpoint, settings, provider):
    app = tracing_fastapi(endpoint, provider)
    app.add_middleware(PyroscopeMiddleware, **settings)
    return app


def ours_twice(endpoint, settings, provider):
    return PyroscopeMiddleware(ours_inside(endpoint, settings, provider), **settings)


def mounted(endpoint, settings, provider):  # noqa: ARG001
    inner = Starlette(routes=[Mount("/", endpoint)])
    return starlette_middleware(Starlette(routes=[Mount("/", inner)]), provider)


@pytest.mark.parametrize(
    "assemble", [one_in_another, ours_outside, ours_inside, ours_twice, mounted]
)
def test_request_has_one_hold(assemble, case, settings):
    async def answer(samples, receive, send):
        holds.append(open_holds())
        await normal(samples, receive, send)

    holds = []
    before = open_holds()
    app = assemble(Endpoint(case.samples, answer), settings, case.provider)
    run_asyncio(partial(serve, app, Exchange(), http()))
    ((hold,),) = [[each for each in seen if each not in before] for seen in holds]
    case.check()
    assert hold.is_closed
    assert case.samples.ids() == {hold.profile_id}


# Frameworks beyond the endpoint


@pytest.mark.parametrize("traces_itself", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
def test_fastapi_streams_and_has_background_tasks(case, traces_itself, is_async):
    telemetry = telemetry_of(case.provider) if traces_itself else {"tracing": False}
    app = FastAPI(telemetry=telemetry)
    if not traces_itself:
        FastAPIInstrumentor.instrument_app(app, tracer_provider=case.provider)

    def chunks():
        for _ in range(3):
            case.samples.take_in_pool("streaming")
            yield b"x"

    async def async_chunks():
        for _ in range(3):
            await case.samples.take_everywhere("streaming")
            yield b"x"

    @app.get(PATH)
    def endpoint(background: BackgroundTasks):
        case.samples.take_in_pool("endpoint")
        background.add_task(case.samples.take_in_pool, "background")
        background.add_task(case.samples.take_everywhere, "background")
        return StreamingResponse(
            async_chunks() if is_async else chunks(),
            background=BackgroundTask(case.samples.take_everywhere, "background"),
        )

    exchange = Exchange()
    run_asyncio(partial(serve, app, exchange, http()))
    case.check()
    assert case.samples.places() == {"endpoint", "streaming", "background"}
    assert exchange.body == b"xxx"


@pytest.mark.usefixtures("marks_alone")
@pytest.mark.parametrize("is_sampled", [True, False])
def test_another_root_inside_a_held_request(case, is_sampled):
    """Scenarios 33 and 36, across an await."""
    sampler = ALWAYS_ON if is_sampled else ALWAYS_OFF
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(PyroscopeSpanProcessor())
    seen = Samples(case.recorder)
    expected = []

    async def answer(samples, receive, send):
        tracer = provider.get_tracer("tests")
        with tracer.start_as_current_span("another", context=Context()) as span:
            expected.append(format(span.get_span_context().span_id, "016x") if is_sampled else None)
            for _ in range(3):
                seen.take()
                await checkpoint()
        await normal(samples, receive, send)

    app = contrib(Endpoint(case.samples, answer), case.provider)
    run_asyncio(partial(serve, app, Exchange(), http()))
    case.check()
    assert seen.ids() == set(expected)


@each_asgi
def test_root_inside_an_unsampled_request(assemble, case):
    """Scenarios 33 and 36: no sample of the request belongs to it, not even earlier ones."""

    async def answer(samples, receive, send):
        tracer = case.provider.get_tracer("tests")
        with tracer.start_as_current_span("message", context=Context()):
            await of_message.take_everywhere()
        await checkpoint()
        await normal(samples, receive, send)

    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(PyroscopeSpanProcessor())
    of_message = Samples(case.recorder)
    endpoint = Endpoint(case.samples, answer)
    app = assemble(endpoint, provider, [Middleware(Outermost, case.samples)])
    run_asyncio(partial(serve, app, Exchange(), http()))
    assert case.samples.places() == EVERYWHERE
    assert case.samples.ids() == {None}
    (profile_id,) = case.profile_ids()
    # Up to the next step, the mark of the request's coroutine may be nearest. It names nobody.
    assert {profile_id} <= of_message.ids() <= {profile_id, None}


@pytest.mark.usefixtures("marks_alone")
def test_job_before_the_root_span_starts(case):
    """The outermost middleware waits for a pool and a worker thread."""

    class Outermost:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            if scope["type"] == "http":
                await early.take_everywhere()
            await self.app(scope, receive, send)

    early = Samples(case.recorder)
    app = starlette_middleware(
        Endpoint(case.samples, normal), case.provider, [Middleware(Outermost)]
    )
    run_asyncio(partial(serve, app, Exchange(), http()))
    (profile_id,) = case.profile_ids()
    assert early.ids() == {profile_id}
