"""Loops inside loops, loops in several threads, and loops that are not followed."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading

import pytest
from opentelemetry import trace
from opentelemetry.context import Context

from tests.support.child import run as run_in_child
from tests.support.event_loops import each_loop, run, turns
from tests.support.threads import in_threads


@contextlib.contextmanager
def no_running_loop():
    """Make asyncio believe that no loop runs on this thread, as nested loops do.

    Nor a task: since Python 3.14 each thread has its own current task.
    """
    running = asyncio.get_running_loop()
    task = asyncio.current_task()
    asyncio.tasks._leave_task(running, task)
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(running)
        asyncio.tasks._enter_task(running, task)


@each_loop
@pytest.mark.parametrize("new_inner_loop", each_loop.args[1])
def test_loop_inside_a_loop(new_inner_loop, new_loop, tracer, now):
    """Scenario 12: the inner request, then the outer one."""
    log = []

    async def inner():
        assert now() == "outer"
        with tracer.start_as_current_span("inner", context=Context()):
            await asyncio.gather(turns(now, "inner", log), turns(now, "inner", log))
        await turns(now, "outer", log)

    async def main():
        with tracer.start_as_current_span("outer"):
            other = asyncio.ensure_future(turns(now, "outer", log))
            await asyncio.sleep(0)
            with no_running_loop():
                run(inner, new_inner_loop)
                assert now() == "outer"
            await other
            assert now() == "outer"
        assert now() is None

    run(main, new_loop)


@each_loop
@pytest.mark.parametrize("new_inner_loop", each_loop.args[1])
def test_outer_root_ends_inside_the_inner_loop(new_inner_loop, new_loop, tracer, now):
    """Scenario 12: we check again afterwards."""
    log = []

    async def main():
        outer = tracer.start_span("outer")

        async def inner():
            with tracer.start_as_current_span("inner", context=Context()):
                outer.end()
                await turns(now, "inner", log)
            assert now() is None

        with trace.use_span(outer):
            assert now() == "outer"
            with no_running_loop():
                run(inner, new_inner_loop)
                assert now() is None
            await turns(now, None, log)

    run(main, new_loop)


def test_nest_asyncio():
    """Scenario 12: `nest_asyncio`, which patches asyncio, in its own process."""
    pytest.importorskip("nest_asyncio")
    assert run_in_child("import tests.following.nest_asyncio_program") == ["right"]


@each_loop
def test_loops_in_several_threads(new_loop, tracer, now):
    """Scenario 12: each thread has its own request, step by step in turn."""
    barrier = threading.Barrier(3, timeout=30)

    async def request(name):
        with tracer.start_as_current_span(name):
            for _ in range(4):
                barrier.wait()
                assert now() == name
                await asyncio.sleep(0)
                assert now() == name
                barrier.wait()
        assert now() is None

    in_threads(*(lambda name=name: run(lambda: request(name), new_loop) for name in "ABC"))


@each_loop
def test_loop_inside_a_request(new_loop, tracer, now):
    """Scenario 12: all of an `asyncio.run` in a sync view belongs to the request."""
    log = []

    async def main():
        assert now() == "request"
        await asyncio.gather(turns(now, "request", log), turns(now, "request", log))

    with tracer.start_as_current_span("request"):
        run(main, new_loop)
        assert now() == "request"
    assert now() is None


class UnknownLoop(asyncio.AbstractEventLoop):
    """An event loop with its own handles, which no hook follows."""

    def __init__(self):
        self._ready = []

    def get_debug(self):
        return False

    def is_running(self):
        return asyncio._get_running_loop() is self

    def is_closed(self):
        return False

    def create_future(self):
        return asyncio.Future(loop=self)

    def create_task(self, coro, **options):
        return asyncio.Task(coro, loop=self, **options)

    def call_soon(self, callback, *args, context=None):
        self._ready.append((context or contextvars.copy_context(), callback, args))

    def call_exception_handler(self, context):
        raise RuntimeError(context["message"]) from context.get("exception")

    def run_until_complete(self, coro):
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(coro)
            while not task.done():
                context, callback, args = self._ready.pop(0)
                context.run(callback, *args)
        finally:
            asyncio._set_running_loop(None)
        return task.result()


def test_loop_that_is_not_followed(tracer, now):
    """Scenario 13: none, rather than another task's request."""
    seen = []

    async def request(name):
        for _ in range(3):
            with tracer.start_as_current_span(name):
                seen.append(now())
                await asyncio.sleep(0)
                with tracer.start_as_current_span("child"):
                    seen.append(now())
                    await asyncio.sleep(0)
                seen.append(now())

    async def untraced():
        for _ in range(6):
            seen.append(now())
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(request("A"), request("B"), untraced())

    UnknownLoop().run_until_complete(main())
    assert set(seen) == {None}
    assert now() is None


def test_loop_that_is_not_followed_inside_a_request(tracer, now):
    """Scenario 13: none once a task has a root span; afterwards the request again."""
    seen = []

    async def request(name):
        with tracer.start_as_current_span(name, context=Context()):
            for _ in range(3):
                seen.append(now())
                await asyncio.sleep(0)
        seen.append(now())

    async def main():
        await asyncio.gather(request("A"), request("B"))

    with tracer.start_as_current_span("outer"):
        UnknownLoop().run_until_complete(main())
        with tracer.start_as_current_span("child"):
            assert now() == "outer"
    assert set(seen) == {None}


def test_subclass_of_an_asyncio_loop_is_followed(tracer, now):
    """Scenario 13: it inherits the methods that the hook replaces."""

    class Loop(asyncio.SelectorEventLoop):
        pass

    async def main():
        with tracer.start_as_current_span("A"):
            await turns(now, "A", [])

    run(main, Loop)
