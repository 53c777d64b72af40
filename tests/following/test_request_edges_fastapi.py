"""FastAPI applications whose root span, their own, starts outside of Starlette's code."""

from __future__ import annotations

from functools import partial

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from anyio.lowlevel import checkpoint
from fastapi import FastAPI
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import INVALID_SPAN, use_span
from starlette.middleware import Middleware

from pyroscope_otel.link.marks import nearest_mark
from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from pyroscope_otel.link.state import STATE
from tests.adapters.asgi_variants import routes, telemetry_of
from tests.following.held_case import EVERYWHERE, Case, Endpoint, Outermost, normal, stream
from tests.following.samples import Samples
from tests.following.traced_apps import each_of, starlette_middleware, tracing_fastapi
from tests.support.asgi_server import (
    Exchange,
    chunk,
    http,
    run_asyncio,
    serve,
    start_and_stop,
    websocket,
)
from tests.support.journal import PATH

TRACEPARENT = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}


@pytest.fixture(params=["pyspy", "stack", "direct mode"])
def sampler(request):
    return request.param


@pytest.fixture
def attribution(sampler):
    return "thread" if sampler == "direct mode" else "stack"


@pytest.fixture(autouse=True)
def _sample_like_the_agent(sampler, recorder, monkeypatch):
    """Have samples of Stack ignore the thread's label."""
    if sampler == "stack":
        monkeypatch.setattr(STATE, "async_marks", False)
        monkeypatch.setattr(recorder, "number", number_on_stack)


def number_on_stack():
    mark = nearest_mark()
    return 0 if mark is None else mark.number


class AroundRoot(SpanProcessor):
    """Takes a sample where a root span starts, and where it ends."""

    def __init__(self, samples):
        self._samples = samples

    def on_start(self, span, parent_context=None):  # noqa: ARG002  the processor's signature
        self._samples.take("start")

    def on_end(self, span):  # noqa: ARG002  the processor's signature
        self._samples.take("end")


# Where the root span starts


async def session(samples, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    await samples.take_everywhere("streaming")
    await send({"type": "websocket.close", "code": 1000})


REQUESTS = {
    "http": (http(), normal, {"type": "http.request"}),
    "websocket": (websocket(), session, {"type": "websocket.connect"}),
}


@pytest.mark.usefixtures("marks_alone")
@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("is_kept_alive", [False, True])
def test_request_is_held_before_its_root_starts(case, kind, is_kept_alive):
    """On a kept-alive connection, the ended span of the previous request is still current."""
    scope, answer, message = REQUESTS[kind]
    app = case.put_together(tracing_fastapi, answer)
    around = Samples(case.recorder)

    async def main():
        await start_and_stop(app)
        previous = INVALID_SPAN
        if is_kept_alive:
            previous = case.provider.get_tracer("tests").start_span("previous")
            previous.end()
        case.provider.add_span_processor(AroundRoot(around))
        with use_span(previous):
            await app(dict(scope), *Exchange(message).ends)

    run_asyncio(main)
    profile_id = case.profile_ids()[-1]
    assert around.places() == {"start", "end"}
    assert around.ids() == {profile_id}
    assert case.samples.ids() == {profile_id}


def test_application_that_does_not_trace(case):
    app = FastAPI(routes=routes(Endpoint(case.samples, normal)), telemetry={"tracing": False})
    exchange = Exchange()
    run_asyncio(partial(serve, app, exchange, http()))
    assert case.profile_ids() == []
    assert case.samples.ids() == {None}
    assert exchange.body == b"xxxx"


# An application inside of another's request


async def get(app, **headers):
    """Send a request to an application in this process, and wait for the loop's next step.

    The step in which the call ends goes through the inner request's mark. Stack has no label that
    names the outer request again.
    """
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        response = await client.get(PATH, headers=headers)
    assert response.content == b"xxxx"
    await checkpoint()


async def call_before_the_answer(call, samples, receive, send):
    await call()
    await samples.take_everywhere("endpoint")
    await normal(samples, receive, send)


async def call_while_streaming(call, samples, receive, send):
    await receive()
    await stream(samples, send)
    await call()
    await samples.take_everywhere("streaming")
    await send(chunk(more=False))


async def call_after_the_answer(call, samples, receive, send):
    """The outer root span has ended."""
    await normal(samples, receive, send)
    await call()
    await samples.take_everywhere("background")


each_moment = pytest.mark.parametrize(
    "moment", [call_before_the_answer, call_while_streaming, call_after_the_answer]
)


@each_moment
@pytest.mark.parametrize("headers", [{}, TRACEPARENT], ids=["own trace", "remote parent"])
@each_of(tracing_fastapi, starlette_middleware)
def test_application_called_inside_another_request(assemble, headers, moment, case):
    outer, inner = case, Case(case.recorder, case.provider, None, case.attribution)
    app = outer.put_together(assemble, partial(moment, lambda: get(inner_app, **headers)))
    inner_app = inner.put_together(tracing_fastapi)
    run_asyncio(partial(serve, app, Exchange(), http()))
    of_outer, of_inner = case.profile_ids()
    assert outer.samples.ids(*outer.known_places) == {of_outer}
    assert inner.samples.places() == EVERYWHERE
    assert inner.samples.ids() == {of_inner}


def test_application_called_in_a_worker_thread(case):
    """Through an event loop in a thread of its own, as by Starlette's `TestClient`."""

    def call():
        outer.take("endpoint")
        with start_blocking_portal() as portal:
            portal.call(get, inner_app)
        outer.take("endpoint")

    outer, inner = Samples(case.recorder), Samples(case.recorder)
    inner_app = tracing_fastapi(Endpoint(inner, normal), case.provider)
    app = FastAPI(telemetry=telemetry_of(case.provider))
    app.get(PATH)(call)
    run_asyncio(partial(serve, app, Exchange(), http()))
    of_outer, of_inner = case.profile_ids()
    assert outer.ids() == {of_outer}
    assert inner.ids() == {of_inner}


@pytest.fixture
def unsampled():
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(PyroscopeSpanProcessor())
    return provider


@each_moment
def test_unsampled_application_called_inside_another_request(moment, case, unsampled):
    inner = Samples(case.recorder)
    app = case.put_together(tracing_fastapi, partial(moment, lambda: get(inner_app)))
    inner_app = tracing_fastapi(Endpoint(inner, normal), unsampled)
    run_asyncio(partial(serve, app, Exchange(), http()))
    case.check()
    assert inner.ids() == {None}


@each_moment
def test_application_called_inside_an_unsampled_request(moment, case, unsampled):
    outer = Samples(case.recorder)
    app = tracing_fastapi(
        Endpoint(outer, partial(moment, lambda: get(inner_app))),
        unsampled,
        [Middleware(Outermost, outer)],
    )
    inner_app = case.put_together(tracing_fastapi)
    run_asyncio(partial(serve, app, Exchange(), http()))
    case.check()
    assert outer.ids() == {None}


def test_untraced_application_called_inside_another_request(case):
    """Its code runs under the outer request's span."""
    answer = partial(call_before_the_answer, lambda: get(inner_app))
    app = case.put_together(tracing_fastapi, answer)
    inner_app = FastAPI(routes=routes(Endpoint(case.samples, normal)), telemetry={"tracing": False})
    run_asyncio(partial(serve, app, Exchange(), http()))
    case.check()


def test_mounted_application(case):
    exchange = Exchange()
    app = case.put_together(tracing_fastapi)
    app.mount("/shop", tracing_fastapi(Endpoint(case.samples, normal), case.provider))
    run_asyncio(partial(serve, app, exchange, http("/shop" + PATH)))
    case.check()
    assert case.samples.places() == EVERYWHERE
    assert exchange.body == b"xxxx"
