"""What switch points share: the mark on the stack, the label, and which of them counts."""

import asyncio
import contextvars

import greenlet
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel.link.held_request import hold_request, release, run_held, run_held_async
from pyroscope_otel.link.state import STATE
from pyroscope_otel.link.switch import run_in_context
from tests.support.threads import in_threads


def pytest_generate_tests(metafunc):
    """Run each test with marks, and in direct mode."""
    if "attribution" in metafunc.fixturenames:
        metafunc.parametrize("attribution", ["stack", "thread"])


@pytest.fixture(params=[True, False], ids=["mark_stays", "mark_of_first_step"])
def serve(request, monkeypatch, recorder):  # noqa: ARG001  the hooks must be in place
    """Return a function that serves a request as an ASGI adapter does, in either mode."""
    monkeypatch.setattr(STATE, "async_marks", request.param)

    async def serve(endpoint, *arguments):
        hold = hold_request({})
        try:
            return await run_held_async(hold, endpoint, *arguments)
        finally:
            release(hold)

    return serve


def test_held_request_never_calls_the_agent(tracer, now, serve, recorder, attribution):
    """Its stack names the request, in every step and under every span."""

    async def endpoint(name):
        with tracer.start_as_current_span(name):
            for _ in range(3):
                with tracer.start_as_current_span("child"):
                    assert now() == name
                    await asyncio.sleep(0)
                    assert now() == name
        # Its response is closed later.
        assert now() == name
        await asyncio.sleep(0)
        assert now() == name
        calls.append(len(recorder.log))

    async def main():
        await asyncio.gather(*(serve(endpoint, name) for name in "ABC"))

    calls = []
    recorder.log.clear()
    asyncio.run(main())
    # By the end of the first request: the rest of its step belongs to none.
    assert (calls[0] == 0) is (attribution == "stack")


@pytest.mark.usefixtures("marks_alone")
def test_code_before_the_root_belongs_to_its_request(tracer, recorder, serve):
    """Choice 11: the application's outer middleware."""

    async def endpoint():
        before = recorder.number()
        await asyncio.sleep(0)
        assert recorder.number() == before
        assert recorder.now() == {}
        with tracer.start_as_current_span("root"):
            assert recorder.number() == before
            assert recorder.now()["span_name"] == "root"

    asyncio.run(serve(endpoint))


@pytest.fixture
def other_root_takes_steps(tracer, now):
    """Take steps under another root span, as for a queue's message handled in a request."""

    async def other_root_takes_steps():
        seen = []
        with tracer.start_as_current_span("request"):
            with tracer.start_as_current_span("message", otel_context.Context()):
                seen.append(now())
                await asyncio.sleep(0)
                seen.append(now())
                await asyncio.sleep(0)
                seen.append(now())
            seen.append(now())
            await asyncio.sleep(0)
            seen.append(now())
        return seen

    return other_root_takes_steps


RIGHT = ["message"] * 3 + ["request"] * 2


def test_root_inside_a_request(other_root_takes_steps):
    """Scenario 33, across steps."""
    assert asyncio.run(other_root_takes_steps()) == RIGHT


def test_root_inside_a_held_request(other_root_takes_steps, serve):
    """Scenario 33, across steps."""
    assert asyncio.run(serve(other_root_takes_steps)) == RIGHT


def test_task_that_outlives_its_span_in_a_root_inside_a_held_request(tracer, now, serve):
    """Its root span is open, so it belongs to that one, and not to the request around it."""

    async def look():
        await asyncio.sleep(0)
        seen.append(now())

    async def endpoint():
        with (
            tracer.start_as_current_span("request"),
            tracer.start_as_current_span("message", otel_context.Context()),
        ):
            with tracer.start_as_current_span("child"):
                task = asyncio.create_task(look())
            await task

    seen = []
    asyncio.run(serve(endpoint))
    assert seen == ["message"]


def test_root_inside_a_child_task_of_a_held_request(other_root_takes_steps, serve):
    """Its stack has no mark of the request."""

    async def endpoint():
        return await asyncio.create_task(other_root_takes_steps())

    assert asyncio.run(serve(endpoint)) == RIGHT


def test_detach_after_the_request_ended_on_another_thread(tracer, now):
    """The request's mark is still on the stack, without a label."""
    hold = hold_request({})

    def code():
        with tracer.start_as_current_span("request"):
            pass
        token = otel_context.attach(otel_context.set_value("key", "value"))
        assert now() == "request"
        in_threads(lambda: release(hold))
        otel_context.detach(token)
        assert now() is None

    run_held(hold, code)


def test_label_set_under_another_mark_does_not_count(tracer, now):
    """The thread's label names the root for the code below, and not for a nested loop's step."""

    def step():
        assert now() is None
        with trace.use_span(root, end_on_exit=False):
            assert now() == "root"
        assert now() is None

    with tracer.start_as_current_span("root") as root:
        empty = contextvars.Context()
        run_in_context(empty, empty.run, step)
        assert now() == "root"


def test_unsampled_root_inside_a_held_request(tracer, now, serve):
    """Scenario 36, across steps: none, though the request's mark is on the stack."""

    async def endpoint():
        seen = []
        with tracer.start_as_current_span("request"):
            with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))):
                for _ in range(3):
                    seen.append(now())
                    await asyncio.sleep(0)
            seen.append(now())
            await asyncio.sleep(0)
            seen.append(now())
        return seen

    assert asyncio.run(serve(endpoint)) == [None] * 3 + ["request"] * 2


def test_empty_context_inside_a_held_request(tracer, now, serve):
    """Scenario 38: the request's own code belongs to it, a task made there to none.

    Instrumentations attach an empty context around each root span without a remote parent.
    """

    async def endpoint():
        seen = []

        async def escaped():
            await asyncio.sleep(0)
            seen.append(now())

        with tracer.start_as_current_span("request"):
            token = otel_context.attach(otel_context.Context())
            seen.append(now())
            await asyncio.create_task(escaped())
            otel_context.detach(token)
            seen.append(now())
        return seen

    assert asyncio.run(serve(endpoint))[1:] == [None, "request"]


def in_another_greenlet(function):
    """Run a function on its own stack, as SQLAlchemy does."""
    other = greenlet.greenlet(function)
    other.gr_context = contextvars.copy_context()
    return other.switch()


@pytest.mark.parametrize("asynchronous", [True, False], ids=["async", "sync"])
def test_greenlet_of_a_held_request(tracer, now, serve, attribution, request, asynchronous):  # noqa: PLR0913, PLR0917
    """On a thread that never had a label."""
    if attribution == "stack":
        reason = "nobody is told of switches between greenlets on a thread without a label"
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))

    def look():
        return now(), in_another_greenlet(now), now()

    async def endpoint():
        with tracer.start_as_current_span("request"):
            await asyncio.sleep(0)
            return look()

    def synchronous_endpoint():
        with tracer.start_as_current_span("request"):
            return look()

    def run():
        if asynchronous:
            seen.append(asyncio.run(serve(endpoint)))
        else:
            hold = hold_request({})
            seen.append(run_held(hold, synchronous_endpoint))
            release(hold)

    seen = []
    in_threads(run)
    assert seen == [("request", "request", "request")]


def test_span_in_a_greenlet_of_a_held_request(tracer, now, serve):
    """From its first span on, and back on the request's stack, it belongs to the request."""

    def in_greenlet():
        with tracer.start_as_current_span("query"):
            seen.append(now())

    async def endpoint():
        with tracer.start_as_current_span("request"):
            await asyncio.sleep(0)
            in_another_greenlet(in_greenlet)
            seen.append(now())
            await asyncio.sleep(0)
            seen.append(now())

    seen = []
    in_threads(lambda: asyncio.run(serve(endpoint)))
    assert seen == ["request"] * 3
