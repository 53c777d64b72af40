"""Eager tasks, which take their first step inside the code that makes them."""

from __future__ import annotations

import asyncio
import contextvars
import sys

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

from tests.support.event_loops import each_loop, run

needs_eager_tasks = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12"
)


def eager(loop, coro, **options):
    """Make an eager task.

    asyncio's own factory does not know all the options that uvloop passes.
    """
    options["eager_start"] = True
    return asyncio.Task(coro, loop=loop, **options)


@each_loop
@needs_eager_tasks
def test_eager_task(new_loop, tracer, now):
    """Scenario 6: the child's context inline, then the caller's."""
    log = []

    async def child():
        log.append(now())
        with tracer.start_as_current_span("B", context=Context()):
            log.append(now())
            await asyncio.sleep(0)
            log.append(now())
        log.append(now())

    async def main():
        asyncio.get_running_loop().set_task_factory(eager)
        with tracer.start_as_current_span("A"):
            task = asyncio.create_task(child())
            assert now() == "A"
            assert log == ["A", "B"]
            await task
            assert now() == "A"

    run(main, new_loop)
    assert log == ["A", "B", "B", "A"]


@each_loop
@needs_eager_tasks
def test_eager_task_of_an_untraced_caller(new_loop, tracer, now):
    """Scenario 6: the child is suspended under its root span, and the caller has none."""

    async def child():
        with tracer.start_as_current_span("A"):
            await asyncio.sleep(0)
            assert now() == "A"

    async def main():
        asyncio.get_running_loop().set_task_factory(eager)
        task = asyncio.create_task(child())
        assert now() is None
        await task

    run(main, new_loop)


@each_loop
@needs_eager_tasks
def test_eager_task_in_another_context(new_loop, tracer, now):
    """Scenarios 5 and 6: in an empty context, and in that of another root span."""
    log = []

    async def child(name):
        log.append(now())
        await asyncio.sleep(0)
        assert now() == name

    async def main():
        asyncio.get_running_loop().set_task_factory(eager)
        with tracer.start_as_current_span("A"):
            in_a = contextvars.copy_context()
            with tracer.start_as_current_span("B", context=Context()):
                tasks = [asyncio.create_task(child(None), context=contextvars.Context())]
                assert now() == "B"
                tasks.append(asyncio.create_task(child("A"), context=in_a))
                assert now() == "B"
                await asyncio.gather(*tasks)

    run(main, new_loop)
    assert log == [None, "A"]


@each_loop
@needs_eager_tasks
def test_eager_task_that_fails_at_once(new_loop, tracer, now):
    """Scenarios 6 and 14: the caller is as before."""

    async def child():
        otel_context.attach(trace.set_span_in_context(tracer.start_span("B", Context())))
        assert now() == "B"
        raise ValueError

    async def main():
        asyncio.get_running_loop().set_task_factory(eager)
        with tracer.start_as_current_span("A"):
            task = asyncio.create_task(child())
            assert now() == "A"
            with pytest.raises(ValueError, match=r"^$"):
                await task

    run(main, new_loop)


@each_loop
@pytest.mark.skipif(sys.version_info < (3, 13), reason="eager_start is new in Python 3.13")
def test_task_with_eager_start(new_loop, tracer, now):
    """Scenario 6: `create_task(eager_start=True)`, without a task factory."""

    async def child():
        with tracer.start_as_current_span("B", context=Context()):
            assert now() == "B"
            await asyncio.sleep(0)
            assert now() == "B"

    async def main():
        loop = asyncio.get_running_loop()
        with tracer.start_as_current_span("A"):
            coro = child()
            try:
                task = loop.create_task(coro, eager_start=True)
            except TypeError:
                coro.close()
                pytest.skip("this loop's create_task does not know eager_start")
            assert now() == "A"
            await task
            assert now() == "A"

    run(main, new_loop)


@each_loop
@needs_eager_tasks
@pytest.mark.xfail(
    reason="a task made eager without the loop's create_task takes its first step inside a "
    "compiled constructor, which no hook can follow"
)
def test_eager_task_made_without_the_loop(new_loop, tracer, now):
    """Scenarios 3 and 6: `asyncio.Task(eager_start=True)` under a root span."""

    async def child():
        with tracer.start_as_current_span("B", context=Context()):
            await asyncio.sleep(0)

    async def main():
        with tracer.start_as_current_span("A"):
            task = asyncio.Task(child(), loop=asyncio.get_running_loop(), eager_start=True)
            after = now()
            await task
            assert after == "A"

    run(main, new_loop)
