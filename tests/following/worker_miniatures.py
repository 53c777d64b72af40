"""Small cases that come out wrong without the hook of a worker, of trio, or of a context."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from tests.following.loop_miniatures import new_root
from tests.support.event_loops import run
from tests.support.threads import in_threads

anyio = pytest.importorskip("anyio")
anyio_to_thread = pytest.importorskip("anyio.to_thread")
asgiref = pytest.importorskip("asgiref.sync")
greenlet = pytest.importorskip("greenlet")
trio = pytest.importorskip("trio")


def pool_job(tracer, now):
    with ThreadPoolExecutor(1) as pool, new_root(tracer, "A"):
        return pool.submit(now).result() == "A"


def asgiref_job(tracer, now):
    async def main():
        with new_root(tracer, "inner"):
            return await asgiref.sync_to_async(now)() == "inner"

    with new_root(tracer, "outer"):
        return asgiref.async_to_sync(main)()


def anyio_job(tracer, now):
    async def main():
        with new_root(tracer, "A"):
            return await anyio_to_thread.run_sync(now) == "A"

    return anyio.run(main)


def trio_job(tracer, now):
    async def main():
        with new_root(tracer, "A"):
            return await trio.to_thread.run_sync(now) == "A"

    return trio.run(main)


def trio_job_back(tracer, now):
    seen = []

    def job():
        with new_root(tracer, "B"):
            trio.from_thread.run_sync(lambda: seen.append(now()))

    async def main():
        with new_root(tracer, "A"):
            await trio.to_thread.run_sync(job)

    trio.run(main)
    return seen == ["B"]


async def trio_from_outside(tracer, now, seen):
    """Start a task in another thread's context, where nothing else adds labels."""
    token = trio.lowlevel.current_trio_token()

    async def step():
        seen.append(now())

    def other_thread():
        with new_root(tracer, "A"):
            trio.from_thread.run(step, trio_token=token)

    await trio.to_thread.run_sync(in_threads, other_thread)


def trio_inside(tracer, now):
    seen = []
    trio.run(trio_from_outside, tracer, now, seen)
    return seen == ["A"]


def trio_guest(tracer, now):
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        finished = loop.create_future()
        trio.lowlevel.start_guest_run(
            trio_from_outside,
            tracer,
            now,
            seen,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=finished.set_result,
        )
        (await finished).unwrap()

    run(main)
    return seen == ["A"]


def trio_in_turn(tracer, now):
    right = []

    async def request(name):
        with new_root(tracer, name):
            for _ in range(5):
                await trio.lowlevel.checkpoint()
                right.append(now() == name)

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request, "A")
            nursery.start_soon(request, "B")

    trio.run(main)
    return all(right)


def attached(tracer, now):
    span = tracer.start_span("A")
    otel_context.attach(trace.set_span_in_context(span))
    right = now() == "A"
    span.end()
    return right


def detached(tracer, now):
    token = otel_context.attach(trace.set_span_in_context(tracer.start_span("A")))
    otel_context.detach(token)
    return now() is None


def renamed(tracer, now):
    with new_root(tracer, "A") as span:
        span.update_name("B")
        return now() == "B"


def greenlets_in_turn(tracer, now):
    right = []

    def request(name):
        with new_root(tracer, name):
            greenlet.getcurrent().parent.switch()
            right.append(now() == name)

    first, second = greenlet.greenlet(request), greenlet.greenlet(request)
    first.switch("A")
    right.append(now() is None)
    second.switch("B")
    first.switch()
    second.switch()
    return all(right)


MINIATURES = [
    ("ContextSwitches", "attach", attached),
    ("ContextSwitches", "detach", detached),
    ("Renames", "update_name", renamed),
    ("PoolJobs", "submit", pool_job),
    ("AsgirefJobs", "submit", asgiref_job),
    ("AnyioJobs", "run_sync", anyio_job),
    ("TrioSteps", None, trio_in_turn),
    ("TrioSteps", "run", trio_inside),
    ("TrioSteps", "start_guest_run", trio_guest),
    ("TrioJobs", "to_thread.run_sync", trio_job),
    ("TrioJobs", "from_thread.run_sync", trio_job_back),
    ("Greenlets", None, greenlets_in_turn),
]
