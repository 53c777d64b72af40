"""Tasks of trio."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import threading

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

from tests.following.trio_turns import Turns, steps
from tests.support.garbage import collected_by_hand
from tests.support.threads import in_threads

trio = pytest.importorskip("trio")
pytest.importorskip("trio.testing")


def test_interleaved_tasks_belong_to_their_own_requests(tracer, now):
    """Scenarios 1 and 13: each step belongs to its task's request."""

    async def request(name, turns):
        assert now() is None
        with tracer.start_as_current_span(name):
            await steps(now, name, turns, name)
            with tracer.start_as_current_span("child"):
                await steps(now, name, turns, name)
        assert now() is None

    async def main():
        turns = Turns("A", "B")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request, "A", turns)
            nursery.start_soon(request, "B", turns)
        assert now() is None
        assert turns.log == ["A", "B"] * 8

    trio.run(main)


def test_untraced_task_beside_a_traced_one(tracer, now):
    """Scenario 2: it has no labels while the traced task waits."""

    async def traced(turns):
        with tracer.start_as_current_span("A"):
            await steps(now, "A", turns, "A")

    async def main():
        turns = Turns("A", "untraced")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(traced, turns)
            nursery.start_soon(steps, now, None, turns, "untraced")

    trio.run(main)


def test_child_task_belongs_to_its_parents_request(tracer, now):
    """Scenario 3: start_soon and start."""

    async def started(turns, task_status):
        assert now() == "A"
        task_status.started()
        await steps(now, "A", turns, "started")

    async def main():
        turns = Turns("started", "soon")
        with tracer.start_as_current_span("A"):
            async with trio.open_nursery() as nursery:
                await nursery.start(lambda task_status: started(turns, task_status))
                nursery.start_soon(steps, now, "A", turns, "soon")
            assert now() == "A"
        assert now() is None

    trio.run(main)


def test_child_task_that_outlives_its_request(tracer, now):
    """Scenario 4: none, unless its own span is open."""

    async def heartbeat(gate):
        await gate.wait()
        assert now() is None

    async def job(gate):
        with tracer.start_as_current_span("child"):
            await gate.wait()
            assert now() == "A"
        assert now() is None
        await trio.lowlevel.checkpoint()
        assert now() is None

    async def main():
        gate = trio.Event()
        async with trio.open_nursery() as nursery:
            with tracer.start_as_current_span("A"):
                nursery.start_soon(heartbeat, gate)
                nursery.start_soon(job, gate)
                await trio.testing.wait_all_tasks_blocked()
                assert now() == "A"
            assert now() is None
            gate.set()

    trio.run(main)


def test_task_in_another_context(tracer, now):
    """Scenario 5: that context's request, and none in an empty context."""

    async def child(name, finished):
        assert now() == name
        await trio.lowlevel.checkpoint()
        assert now() == name
        finished.set()

    async def main():
        with tracer.start_as_current_span("A"):
            in_a = contextvars.copy_context()
            with tracer.start_as_current_span("B", context=Context()):
                for name, context in ((None, contextvars.Context()), ("A", in_a)):
                    finished = trio.Event()
                    trio.lowlevel.spawn_system_task(child, name, finished, context=context)
                    await finished.wait()
                    assert now() == "B"

    trio.run(main)


def test_exception_and_cancellation_in_a_step(tracer, now):
    """Scenario 14: the labels are afterwards as before."""

    def attach_and_leave():
        otel_context.attach(trace.set_span_in_context(tracer.start_span("A", Context())))
        assert now() == "A"

    async def fails():
        attach_and_leave()
        raise ValueError

    async def is_cancelled():
        attach_and_leave()
        await trio.sleep_forever()

    async def contained(function):
        with contextlib.suppress(ValueError):
            await function()

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(contained, fails)
            nursery.start_soon(is_cancelled)
            await trio.testing.wait_all_tasks_blocked()
            assert now() is None
            nursery.cancel_scope.cancel()
        assert now() is None

    trio.run(main)
    assert now() is None


def test_exception_that_stops_the_run(tracer, now):
    """Scenario 14: KeyboardInterrupt in a step."""

    async def main():
        otel_context.attach(trace.set_span_in_context(tracer.start_span("A", Context())))
        assert now() == "A"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert now() is None
    with tracer.start_as_current_span("outside"):
        with pytest.raises(KeyboardInterrupt):
            trio.run(main)
        assert now() == "outside"


def test_run_inside_a_request(tracer, now):
    """Scenario 12: all of it belongs to the request, and so does the code after it."""

    async def main():
        assert now() == "request"
        turns = Turns("1", "2")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(steps, now, "request", turns, "1")
            nursery.start_soon(steps, now, "request", turns, "2")
        with tracer.start_as_current_span("inner", context=Context()):
            await trio.lowlevel.checkpoint()
            assert now() == "inner"
        assert now() == "request"

    with tracer.start_as_current_span("request"):
        trio.run(main)
        assert now() == "request"


def test_task_of_no_request_in_a_run_inside_a_request(tracer, now):
    """Scenarios 2 and 12: none, though the run belongs to the request."""

    async def main():
        assert now() == "request"
        finished = trio.Event()
        seen = []

        async def untraced():
            seen.append(now())
            await trio.lowlevel.checkpoint()
            seen.append(now())
            finished.set()

        trio.lowlevel.spawn_system_task(untraced, context=contextvars.Context())
        await finished.wait()
        assert now() == "request"
        assert seen == [None, None]

    with tracer.start_as_current_span("request"):
        trio.run(main)
        assert now() == "request"


def test_task_started_from_another_thread(tracer, now):
    """Scenario 7: the request of the calling thread."""
    seen = []

    async def step():
        seen.append(now())
        await trio.lowlevel.checkpoint()
        seen.append(now())

    async def main():
        token = trio.lowlevel.current_trio_token()

        def other_thread():
            with tracer.start_as_current_span("B"):
                trio.from_thread.run(step, trio_token=token)
                trio.from_thread.run_sync(lambda: seen.append(now()), trio_token=token)
            trio.from_thread.run(step, trio_token=token)

        await trio.to_thread.run_sync(in_threads, other_thread)
        assert now() is None

    trio.run(main)
    assert seen == ["B", "B", "B", None, None]


def test_runs_in_several_threads(tracer, now):
    """Scenario 12: each thread has its own request, step by step in turn."""
    barrier = threading.Barrier(3, timeout=30)

    async def request(name):
        with tracer.start_as_current_span(name):
            for _ in range(4):
                barrier.wait()
                assert now() == name
                await trio.lowlevel.checkpoint()
                assert now() == name
                barrier.wait()
        assert now() is None

    in_threads(*(lambda name=name: trio.run(request, name) for name in "ABC"))


def test_guest_run_in_asyncio(tracer, now):
    """Scenario 13: tasks of trio and of asyncio on one thread."""
    import asyncio

    async def guest():
        with tracer.start_as_current_span("guest"):
            for _ in range(4):
                assert now() == "guest"
                await trio.sleep(0)
            assert now() == "guest"
        return "done"

    async def main():
        loop = asyncio.get_running_loop()
        finished = loop.create_future()
        trio.lowlevel.start_guest_run(
            guest,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=finished.set_result,
        )
        assert now() is None
        with tracer.start_as_current_span("host"):
            while not finished.done():
                assert now() == "host"
                await asyncio.sleep(0)
        assert finished.result().unwrap() == "done"

    loop = asyncio.SelectorEventLoop()
    loop.run_until_complete(main())
    loop.close()


def test_worker_threads(tracer, now, recorder):
    """Scenario 17: two requests share one worker. An idle worker has no labels."""

    async def request(name, limiter):
        with tracer.start_as_current_span(name):
            for _ in range(4):
                assert await trio.to_thread.run_sync(now, limiter=limiter) == name
                assert now() == name

    async def main():
        limiter = trio.CapacityLimiter(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request, "A", limiter)
            nursery.start_soon(request, "B", limiter)
        assert recorder.left_behind() == {}
        assert await trio.to_thread.run_sync(now, limiter=limiter) is None

    trio.run(main)


def test_steps_make_no_garbage(tracer, now):
    """A step leaves no more for the garbage collector than trio itself does."""

    async def measured(count):
        async def request(name):
            with tracer.start_as_current_span(name):
                for _ in range(count):
                    await trio.lowlevel.checkpoint()
                assert now() == name

        async with trio.open_nursery() as nursery:
            nursery.start_soon(request, "A")
            nursery.start_soon(request, "B")

    async def main():
        await measured(10)
        with collected_by_hand():
            await measured(10)
            few = gc.collect()
            await measured(500)
            assert gc.collect() == few

    trio.run(main)
