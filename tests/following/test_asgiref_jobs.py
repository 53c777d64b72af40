"""asgiref's `sync_to_async` and `async_to_sync`."""

from __future__ import annotations

import asyncio
import threading

import pytest
from opentelemetry import trace
from opentelemetry.context import Context

from pyroscope_otel.link.marks import LABEL
from tests.support.event_loops import each_loop, run
from tests.support.spans import attach_and_leave
from tests.support.threads import in_threads

asgiref = pytest.importorskip("asgiref.sync")


@each_loop
@pytest.mark.parametrize("thread_sensitive", [True, False])
def test_sync_to_async(thread_sensitive, new_loop, tracer, now, recorder):
    """Scenario 21: two requests share the one worker. An idle worker has no labels."""

    async def request(name):
        job = asgiref.sync_to_async(now, thread_sensitive=thread_sensitive)
        with tracer.start_as_current_span(name):
            for _ in range(3):
                assert await job() == name
                assert now() == name

    async def main():
        await asyncio.gather(request("A"), request("B"))
        assert recorder.left_behind() == {}
        assert await asgiref.sync_to_async(now, thread_sensitive=thread_sensitive)() is None

    run(main, new_loop)


@each_loop
def test_span_left_attached_in_the_shared_worker(new_loop, tracer, now, recorder):
    """Scenario 21: the next job there belongs to its own request."""
    spans = []

    def leave():
        spans.append(attach_and_leave(tracer, "left"))

    async def first():
        with tracer.start_as_current_span("A"):
            await asgiref.sync_to_async(leave)()
            await asyncio.sleep(0)
            # asgiref copies the context back, so the span is current here too.
            assert now() == "left"

    async def second():
        with tracer.start_as_current_span("B"):
            assert await asgiref.sync_to_async(now)() == "B"
            assert now() == "B"

    async def main():
        task = asyncio.ensure_future(first())
        await asyncio.wait([task])
        task.result()
        assert recorder.left_behind() == {}
        await asyncio.ensure_future(second())
        assert await asgiref.sync_to_async(now)() is None
        spans[0].end()

    run(main, new_loop)


@each_loop
def test_async_to_sync_below_sync_to_async(new_loop, tracer, now):
    """Scenario 22: its first step, before any await."""
    seen = []

    async def innermost():
        seen.append(now())
        await asyncio.sleep(0)
        seen.append(now())
        with tracer.start_as_current_span("B", context=Context()):
            seen.append(now())
            await asyncio.sleep(0)
            seen.append(now())
        seen.append(now())

    def sync():
        seen.append(now())
        asgiref.async_to_sync(innermost)()
        seen.append(now())

    async def main():
        with tracer.start_as_current_span("A"):
            await asgiref.sync_to_async(sync)()
            assert now() == "A"

    run(main, new_loop)
    assert seen == ["A", "A", "A", "B", "B", "A", "A"]


def test_async_to_sync_in_its_own_loop(tracer, now):
    """Scenario 22: its first step, and the waiting thread afterwards."""
    seen = []

    async def innermost():
        seen.append(now())
        await asyncio.sleep(0)
        seen.append(now())

    asgiref.async_to_sync(innermost)()
    with tracer.start_as_current_span("A"):
        asgiref.async_to_sync(innermost)()
        assert now() == "A"
    assert now() is None
    asgiref.async_to_sync(innermost)()
    assert seen == [None, None, "A", "A", None, None]


def test_async_to_sync_leaves_its_caller_unchanged(tracer, now):
    """Scenario 22: asgiref copies the inner context back, without what the job inherited."""

    async def innermost():
        await asyncio.sleep(0)

    span = tracer.start_span("A")

    def caller():
        with trace.use_span(span):
            asgiref.async_to_sync(innermost)()
            assert now() == "A"
        # The request is open, but this thread no longer works for it.
        assert now() is None
        with tracer.start_as_current_span("B", context=Context()):
            assert now() == "B"
        assert now() is None

    in_threads(caller)
    span.end()


@each_loop
def test_code_after_sync_to_async(new_loop, tracer, now):
    """Scenario 22: it belongs to the request before the first await."""

    def child():
        with tracer.start_as_current_span("child"):
            assert now() == "A"

    async def main():
        with tracer.start_as_current_span("A"):
            await asgiref.sync_to_async(child)()
            assert now() == "A"
            await asyncio.sleep(0)
            assert now() == "A"
        assert now() is None

    run(main, new_loop)


@each_loop
@pytest.mark.xfail(
    reason="asgiref sets the context variables of the awaiting task without an attach, and asks "
    "not to be patched"
)
def test_code_after_sync_to_async_that_changed_the_root(new_loop, tracer, now):
    """Scenario 22: before the first await, the task still has its old labels."""

    async def main():
        with tracer.start_as_current_span("A"):
            span = await asgiref.sync_to_async(attach_and_leave)(tracer, "left")
            at_once = now()
            await asyncio.sleep(0)
            later = now()
            span.end()
            assert later == "left"
            assert at_once == "left"

    run(main, new_loop)


def test_sync_job_in_the_waiting_thread(tracer, now):
    """Scenario 23: the root span of the async part, then that of the waiting thread."""
    seen = []
    waiting = threading.get_ident()

    def sync():
        assert threading.get_ident() == waiting
        seen.append(now())
        with tracer.start_as_current_span("child"):
            seen.append(now())
        seen.append(now())

    async def asynchronous():
        await asgiref.sync_to_async(sync)()
        with tracer.start_as_current_span("inner", context=Context()):
            await asgiref.sync_to_async(sync)()
            assert now() == "inner"
        await asgiref.sync_to_async(sync)()

    with tracer.start_as_current_span("outer"):
        asgiref.async_to_sync(asynchronous)()
        assert now() == "outer"
    assert seen == ["outer"] * 3 + ["inner"] * 3 + ["outer"] * 3
    del seen[:]
    asgiref.async_to_sync(asynchronous)()
    assert seen == [None, "child", None] + ["inner"] * 3 + [None, "child", None]
    assert now() is None


def test_waiting_thread_has_its_own_labels_between_jobs(tracer, now, recorder, attribution):
    """Scenario 23: while it waits, it has its caller's labels."""
    waiting = threading.get_ident()
    seen = []

    async def asynchronous():
        with tracer.start_as_current_span("inner", context=Context()):
            await asgiref.sync_to_async(now)()
        # One more job: after it, the thread has left the job before.
        await asgiref.sync_to_async(int)()
        # The waiting thread has no job's frame on its stack, and only its caller's labels.
        seen.append({key for key, _ in recorder.on_thread.get(waiting, ())})

    with tracer.start_as_current_span("outer"):
        asgiref.async_to_sync(asynchronous)()
        assert now() == "outer"
    asgiref.async_to_sync(asynchronous)()
    assert seen == [{LABEL} if attribution == "stack" else {"span_id", "span_name"}, set()]
