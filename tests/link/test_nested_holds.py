"""A request that another one serves in the same task, as an in-process client does."""

import asyncio

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel.link.held_request import hold_request, release, run_held_async

FOREIGN = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))

pytestmark = pytest.mark.usefixtures("recorder")


@pytest.fixture(params=["stack", "thread"])
def attribution(request):
    return request.param


async def serve(endpoint):
    hold = hold_request({})
    try:
        return await run_held_async(hold, endpoint)
    finally:
        release(hold)


@pytest.mark.parametrize("outer_is_held", [False, True], ids=["by_hand", "held"])
def test_root_inside_it(tracer, now, outer_is_held):
    """The mark of the inner request is the nearest, with the outer request's profile."""

    async def inner():
        await asyncio.sleep(0)
        with tracer.start_as_current_span("message", otel_context.Context()):
            seen.append(now())
            await asyncio.sleep(0)
            seen.append(now())
        seen.append(now())

    async def outer():
        with tracer.start_as_current_span("request"):
            await serve(inner)
            seen.append(now())

    seen = []
    asyncio.run(serve(outer) if outer_is_held else outer())
    assert seen == ["message"] * 2 + ["request"] * 2


def test_foreign_span_after_it(tracer, now):
    """The nearest mark is the outer request's again, in the middle of a step."""

    async def inner():
        await asyncio.sleep(0)
        with tracer.start_as_current_span("inner"):
            seen.append(now())

    async def outer():
        with tracer.start_as_current_span("outer"):
            pass
        await serve(inner)
        with trace.use_span(FOREIGN):
            seen.append(now())
        seen.append(now())

    seen = []
    asyncio.run(serve(outer))
    assert seen == ["inner", None, "outer"]
