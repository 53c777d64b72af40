"""Tasks on asyncio's and uvloop's loops: which request each step belongs to."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading

import pytest
from opentelemetry.context import Context

from tests.support.event_loops import each_loop, run, turns

needs_task_context = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="create_task(context=...) is new in Python 3.11"
)


@each_loop
def test_interleaved_tasks_belong_to_their_own_requests(new_loop, tracer, now):
    """Scenario 1: each step belongs to its task's request."""
    log = []

    async def request(name):
        assert now() is None
        with tracer.start_as_current_span(name):
            await turns(now, name, log)
        assert now() is None

    async def main():
        await asyncio.gather(*map(request, "ABC"))
        assert now() is None

    run(main, new_loop)
    assert log == list("ABC") * 4


@each_loop
def test_interleaved_tasks_in_child_spans(new_loop, tracer, now):
    """Scenario 1: under a child span, and under one without a parent in this process."""
    log = []

    async def request(name):
        with tracer.start_as_current_span(name), tracer.start_as_current_span("child"):
            await turns(now, name, log)
            with tracer.start_as_current_span(name * 2, context=Context()):
                await turns(now, name * 2, log)
            await turns(now, name, log)

    async def main():
        await asyncio.gather(*map(request, "AB"))

    run(main, new_loop)
    assert log == (["A", "B"] * 4 + ["AA", "BB"] * 4 + ["A", "B"] * 4)


@each_loop
def test_untraced_task_beside_a_traced_one(new_loop, tracer, now):
    """Scenario 2: it has no labels while the traced task waits."""
    log = []

    async def traced():
        with tracer.start_as_current_span("A"):
            await turns(now, "A", log)

    async def main():
        await asyncio.gather(traced(), turns(now, None, log))

    run(main, new_loop)
    assert log == ["A", None] * 4


async def _gather(coro):
    await asyncio.gather(coro)


async def _create_task(coro):
    await asyncio.create_task(coro)


async def _loop_create_task(coro):
    await asyncio.get_running_loop().create_task(coro, name="child")


async def _ensure_future(coro):
    await asyncio.ensure_future(coro)


async def _task(coro):
    await asyncio.Task(coro, loop=asyncio.get_running_loop())


async def _wait_for(coro):
    await asyncio.wait_for(coro, 30)


async def _shield(coro):
    await asyncio.shield(coro)


async def _as_completed(coro):
    for done in asyncio.as_completed([coro]):
        await done


async def _wait(coro):
    (done,), _ = await asyncio.wait([asyncio.ensure_future(coro)])
    done.result()


async def _task_group(coro):
    async with asyncio.TaskGroup() as group:
        group.create_task(coro)


async def _threadsafe(coro):
    loop = asyncio.get_running_loop()
    finished = asyncio.Event()
    context = contextvars.copy_context()
    futures = []

    def in_thread():
        future = context.run(asyncio.run_coroutine_threadsafe, coro, loop)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(finished.set))
        futures.append(future)

    thread = threading.Thread(target=in_thread)
    thread.start()
    await finished.wait()
    thread.join()
    futures[0].result()


@each_loop
@pytest.mark.parametrize(
    "start",
    [
        _gather,
        _create_task,
        _loop_create_task,
        _ensure_future,
        _task,
        _wait_for,
        _shield,
        _as_completed,
        _wait,
        pytest.param(
            _task_group,
            marks=pytest.mark.skipif(
                sys.version_info < (3, 11), reason="TaskGroup is new in Python 3.11"
            ),
        ),
        _threadsafe,
    ],
)
def test_child_task_belongs_to_its_parents_request(start, new_loop, tracer, now):
    """Scenario 3: however it is made."""
    log = []

    async def beside():
        with tracer.start_as_current_span("beside"):
            await turns(now, "beside", log)

    async def main():
        other = asyncio.ensure_future(beside())
        with tracer.start_as_current_span("request"):
            await start(turns(now, "request", log))
            assert now() == "request"
        await other

    run(main, new_loop)
    assert log.count("request") == 4
    assert log.count("beside") == 4


@each_loop
def test_child_task_that_outlives_its_request(new_loop, tracer, now):
    """Scenario 4: fire and forget belongs to none."""

    async def main():
        gate = asyncio.Event()

        async def heartbeat():
            assert now() == "request"
            await gate.wait()
            assert now() is None

        with tracer.start_as_current_span("request"):
            child = asyncio.ensure_future(heartbeat())
            await asyncio.sleep(0)
            assert now() == "request"
        assert now() is None
        gate.set()
        await child

    run(main, new_loop)


@each_loop
def test_child_task_with_its_own_span_outlives_its_request(new_loop, tracer, now):
    """Scenario 4: it belongs to the request until its span ends."""

    async def main():
        gate = asyncio.Event()

        async def job():
            with tracer.start_as_current_span("child"):
                await gate.wait()
                assert now() == "request"
            # The current span is the request's again, which has ended.
            assert now() is None
            await asyncio.sleep(0)
            assert now() is None

        with tracer.start_as_current_span("request"):
            child = asyncio.ensure_future(job())
            await asyncio.sleep(0)
        gate.set()
        await child

    run(main, new_loop)


@each_loop
@needs_task_context
def test_task_in_another_context(new_loop, tracer, now):
    """Scenario 5: that context's request, and none in an empty context."""
    log = []

    async def main():
        with tracer.start_as_current_span("A"):
            in_a = contextvars.copy_context()
            with tracer.start_as_current_span("B", context=Context()):
                await asyncio.gather(
                    asyncio.create_task(turns(now, None, log), context=contextvars.Context()),
                    asyncio.create_task(turns(now, "A", log), context=in_a),
                    asyncio.create_task(turns(now, "B", log)),
                )
                assert now() == "B"

    run(main, new_loop)
    assert log == [None, "A", "B"] * 4


@each_loop
def test_task_made_in_an_empty_context(new_loop, tracer, now):
    """Scenario 5: none, though a root span is open."""
    log = []

    async def main():
        loop = asyncio.get_running_loop()
        with tracer.start_as_current_span("A"):
            child = contextvars.Context().run(loop.create_task, turns(now, None, log))
            assert now() == "A"
            await child
            assert now() == "A"

    run(main, new_loop)


@each_loop
@needs_task_context
def test_task_factory_that_chooses_the_context(new_loop, tracer, now):
    """Scenario 5: the factory's context counts, not the creator's."""
    log = []

    def factory(loop, coro, **options):
        options["context"] = contextvars.Context()
        return asyncio.Task(coro, loop=loop, **options)

    async def main():
        asyncio.get_running_loop().set_task_factory(factory)
        with tracer.start_as_current_span("A"):
            child = asyncio.create_task(turns(now, None, log))
            assert now() == "A"
            await child
            assert now() == "A"

    run(main, new_loop)
