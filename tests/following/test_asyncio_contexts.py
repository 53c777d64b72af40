"""Steps that raise, generators, and contexts that code leaves by hand."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context

from tests.support.event_loops import closing_loop, each_loop, run, turns
from tests.support.garbage import collected_by_hand

# Exceptions and cancellation


@each_loop
def test_exception_and_cancellation_in_a_step(new_loop, tracer, now):
    """Scenario 14: the labels are afterwards as before."""
    seen = []

    def attach_and_leave(name):
        otel_context.attach(trace.set_span_in_context(tracer.start_span(name, Context())))
        assert now() == name

    async def fails():
        attach_and_leave("fails")
        raise ValueError

    async def is_cancelled():
        attach_and_leave("cancelled")
        await asyncio.get_running_loop().create_future()

    async def main():
        loop = asyncio.get_running_loop()
        failing = asyncio.ensure_future(fails())
        cancelled = asyncio.ensure_future(is_cancelled())
        await asyncio.sleep(0)
        assert now() is None
        loop.call_soon(lambda: seen.append(now()))
        cancelled.cancel()
        results = await asyncio.gather(failing, cancelled, return_exceptions=True)
        assert list(map(type, results)) == [ValueError, asyncio.CancelledError]
        assert now() is None

    run(main, new_loop)
    assert seen == [None]


@each_loop
@pytest.mark.parametrize("ambient", [None, "ambient"])
@pytest.mark.parametrize("in_a", ["task", "callback"])
def test_exception_that_stops_the_loop(in_a, ambient, new_loop, tracer, now):
    """Scenario 14: KeyboardInterrupt in a step; then the loop runs on."""
    seen = []
    error = KeyboardInterrupt

    def fail():
        otel_context.attach(trace.set_span_in_context(tracer.start_span("A", Context())))
        assert now() == "A"
        raise error

    async def task():
        fail()

    async def callback():
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.get_running_loop().create_future()

    async def main():
        seen.append(now())

    with contextlib.ExitStack() as stack:
        if ambient is not None:
            stack.enter_context(tracer.start_as_current_span(ambient))
        with closing_loop(new_loop) as loop:
            main_task = loop.create_task(task() if in_a == "task" else callback())
            with pytest.raises(error):
                loop.run_until_complete(main_task)
            assert now() == ambient
            loop.run_until_complete(main())
            if in_a == "task":
                # Retrieve the exception, or asyncio logs it.
                assert isinstance(main_task.exception(), error)
        assert now() == ambient
    assert seen == [ambient]


# Generators


@each_loop
def test_async_generator_closed_under_another_root(new_loop, tracer, now, caplog):
    """Scenario 15: its detach is refused, and the closing task keeps its root span."""

    async def numbers():
        with tracer.start_as_current_span("A"):
            yield 1
            yield 2

    async def main():
        generator = numbers()

        async def begin():
            assert await generator.__anext__() == 1
            # As in OpenTelemetry, it is current here now.
            assert now() == "A"

        begun = asyncio.ensure_future(begin())
        await begun
        assert now() is None
        with tracer.start_as_current_span("B"):
            await generator.aclose()
            assert now() == "B"
            await asyncio.sleep(0)
            assert now() == "B"

    run(main, new_loop)
    assert "Failed to detach context" in caplog.text


@each_loop
def test_async_generator_closed_by_an_untraced_task(new_loop, tracer, now, caplog):
    """Scenario 15: none, and none for the task that started it once the span has ended."""

    async def numbers():
        with tracer.start_as_current_span("A"):
            yield 1

    async def main():
        generator = numbers()
        started, closed = asyncio.Event(), asyncio.Event()

        async def begin():
            await generator.__anext__()
            started.set()
            assert now() == "A"
            await closed.wait()
            assert now() is None

        begun = asyncio.ensure_future(begin())
        await started.wait()
        assert now() is None
        await generator.aclose()
        assert now() is None
        closed.set()
        await begun

    run(main, new_loop)
    assert "Failed to detach context" in caplog.text


@each_loop
def test_async_generator_finalized_by_the_loop(new_loop, tracer, now, caplog):
    """Scenario 15: a task of the loop closes it."""
    log = []

    async def numbers():
        with tracer.start_as_current_span("A"):
            yield 1

    async def main():
        async def begin():
            async for _ in numbers():
                assert now() == "A"
                break

        await asyncio.ensure_future(begin())
        gc.collect()
        await turns(now, None, log)
        with tracer.start_as_current_span("B"):
            await turns(now, "B", log)

    run(main, new_loop)
    assert "Failed to detach context" in caplog.text


def test_generator_suspended_inside_a_span(tracer, now):
    """Scenario 16: its consumer inherits the span, as in OpenTelemetry."""

    def body():
        with tracer.start_as_current_span("body"):
            yield now()
            yield now()

    assert now() is None
    generator = body()
    for name in generator:
        assert name == "body"
        assert now() == "body"
    assert now() is None


# Contexts left by hand, baggage, garbage


@pytest.mark.xfail(
    reason="entering a context by hand is no switch point before Python 3.14's context watchers"
)
def test_context_left_by_hand(tracer, now):
    """Scenario 24: `Context.run` of code that leaves a span attached."""

    def attach_and_leave():
        otel_context.attach(trace.set_span_in_context(span))
        assert now() == "inner"

    with tracer.start_as_current_span("outer"):
        span = tracer.start_span("inner", context=Context())
        contextvars.copy_context().run(attach_and_leave)
        after = now()
        span.end()
        assert now() == "outer"
        assert after == "outer"


@each_loop
def test_context_left_by_hand_is_right_from_the_next_step_on(new_loop, tracer, now):
    """Scenario 24: the next hook corrects the label."""

    async def main():
        with tracer.start_as_current_span("outer"):
            span = tracer.start_span("inner", context=Context())
            contextvars.copy_context().run(otel_context.attach, trace.set_span_in_context(span))
            await asyncio.sleep(0)
            assert now() == "outer"
            span.end()

    run(main, new_loop)


@each_loop
def test_baggage_alone_changes_nothing(new_loop, tracer, now):
    """Scenarios 1 and 38: an attach without a span, in interleaved tasks."""
    log = []

    async def request(name):
        with tracer.start_as_current_span(name):
            token = otel_context.attach(baggage.set_baggage("key", "value"))
            await turns(now, name, log)
            otel_context.detach(token)
            await turns(now, name, log)

    async def main():
        await asyncio.gather(request("A"), request("B"))

    run(main, new_loop)
    assert log == ["A", "B"] * 8


@each_loop
def test_steps_make_no_garbage(new_loop, tracer, now):
    """Callbacks, steps and changes of root span leave nothing for the garbage collector."""

    async def steps(count):
        for _ in range(count):
            await asyncio.sleep(0)

    async def main():
        loop = asyncio.get_running_loop()

        async def request(name, count):
            with tracer.start_as_current_span(name):
                await steps(count)
                assert now() == name

        async def measured(count):
            await asyncio.gather(request("A", count), request("B", count))
            for _ in range(count):
                loop.call_soon(now)
            loop.call_later(0, now)
            await steps(2)

        await measured(10)
        with collected_by_hand():
            await measured(10)
            few = gc.collect()
            objects = len(gc.get_objects())
            await measured(500)
            assert gc.collect() == few
            assert len(gc.get_objects()) - objects < 200

    run(main, new_loop)
