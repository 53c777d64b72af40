"""Worker threads of AnyIO, on asyncio, uvloop and trio."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import threading

import pytest
from opentelemetry.context import Context

from pyroscope_otel import following
from tests.support.event_loops import needs_uvloop
from tests.support.garbage import collected_by_hand
from tests.support.spans import attach_and_leave

anyio = pytest.importorskip("anyio")
anyio_from_thread = pytest.importorskip("anyio.from_thread")
anyio_to_thread = pytest.importorskip("anyio.to_thread")

HOOK = following.named("AnyioJobs")

each_backend = pytest.mark.parametrize(
    "backend",
    [
        pytest.param({"backend": "asyncio"}, id="asyncio"),
        pytest.param(
            {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
            id="uvloop",
            marks=needs_uvloop,
        ),
        pytest.param(
            {"backend": "trio"},
            id="trio",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("trio") is None, reason="trio is not installed"
            ),
        ),
    ],
)


@each_backend
def test_sync_endpoint(backend, tracer, now, recorder):
    """Scenario 17: two requests share one worker. An idle worker has no labels."""

    async def main():
        limiter = anyio.CapacityLimiter(1)

        async def request(name):
            with tracer.start_as_current_span(name):
                for _ in range(4):
                    assert await anyio_to_thread.run_sync(now, limiter=limiter) == name
                    assert now() == name

        async with anyio.create_task_group() as group:
            group.start_soon(request, "A")
            group.start_soon(request, "B")
        assert recorder.left_behind() == {}
        assert await anyio_to_thread.run_sync(now, limiter=limiter) is None

    anyio.run(main, **backend)


@each_backend
def test_spans_of_a_sync_endpoint(backend, tracer, now):
    """Scenario 17: a child span, another root span, then the request again."""

    def endpoint():
        names = [now()]
        with tracer.start_as_current_span("child"):
            names.append(now())
        with tracer.start_as_current_span("B", context=Context()):
            names.append(now())
        names.append(now())
        return names

    async def main():
        with tracer.start_as_current_span("A"):
            assert await anyio_to_thread.run_sync(endpoint) == ["A", "A", "B", "A"]
            assert now() == "A"

    anyio.run(main, **backend)


@each_backend
def test_sync_streaming_body(backend, tracer, now, recorder, caplog):
    """Scenario 17: each chunk belongs to the request, also with a span open between chunks."""

    def body():
        yield now()
        with tracer.start_as_current_span("chunks"):
            yield now()
            yield now()
        yield now()

    async def main():
        with tracer.start_as_current_span("A"):
            chunks = body()
            for _ in range(4):
                assert await anyio_to_thread.run_sync(next, chunks) == "A"
                assert now() == "A"
                assert recorder.left_on_others() == {}

    anyio.run(main, **backend)
    # Each chunk runs in its own context, so the span is detached in another.
    assert "Failed to detach context" in caplog.text


@each_backend
def test_span_left_attached_by_a_sync_endpoint(backend, tracer, now, recorder):
    """Scenario 17: it is gone with the context it was attached in."""

    async def main():
        limiter = anyio.CapacityLimiter(1)
        with tracer.start_as_current_span("A"):
            span = await anyio_to_thread.run_sync(attach_and_leave, tracer, "left", limiter=limiter)
            assert now() == "A"
        assert recorder.left_on_others() == {}
        with tracer.start_as_current_span("B"):
            assert await anyio_to_thread.run_sync(now, limiter=limiter) == "B"
        span.end()

    anyio.run(main, **backend)


@each_backend
def test_sync_endpoint_that_fails(backend, tracer, now, recorder):
    """Scenario 14: its exception arrives, and its worker has no labels."""

    def endpoint():
        assert now() == "A"
        raise ValueError

    async def main():
        with tracer.start_as_current_span("A"):
            with pytest.raises(ValueError, match=r"^$"):
                await anyio_to_thread.run_sync(endpoint)
            assert now() == "A"
        assert recorder.left_on_others() == {}

    anyio.run(main, **backend)


@each_backend
def test_request_cancelled_while_its_worker_runs(backend, tracer, now):
    """Scenarios 17 and 25: none from the worker's next switch point on."""
    ended, finished = threading.Event(), threading.Event()
    seen = []

    def endpoint(started):
        seen.append(now())
        anyio_from_thread.run_sync(started.set)
        ended.wait()
        with tracer.start_as_current_span("B", context=Context()):
            seen.append(now())
        seen.append(now())
        finished.set()

    async def main():
        started = anyio.Event()

        async def request():
            with tracer.start_as_current_span("A"):
                await anyio_to_thread.run_sync(endpoint, started, abandon_on_cancel=True)

        async with anyio.create_task_group() as group:
            group.start_soon(request)
            await started.wait()
            group.cancel_scope.cancel()
        assert now() is None
        ended.set()
        await anyio_to_thread.run_sync(finished.wait)
        # A worker removes its labels before it reports: one round trip is enough.
        await anyio_to_thread.run_sync(int)

    anyio.run(main, **backend)
    for thread in threading.enumerate():
        if thread.name.startswith("AnyIO worker"):
            thread.join()
    assert seen == ["A", "B", None]


@each_backend
def test_call_from_a_worker_thread_into_the_loop(backend, tracer, now):
    """Scenario 17: `from_thread.run` and `run_sync` belong to the worker's request."""

    async def step():
        name = now()
        await anyio.lowlevel.checkpoint()
        assert now() == name
        return name

    def endpoint():
        return [anyio_from_thread.run(step), anyio_from_thread.run_sync(now), now()]

    async def main():
        async with anyio.create_task_group() as group:

            async def request(name):
                with tracer.start_as_current_span(name):
                    assert await anyio_to_thread.run_sync(endpoint) == [name] * 3
                    assert now() == name

            group.start_soon(request, "A")
            group.start_soon(request, "B")
        assert await anyio_to_thread.run_sync(endpoint) == [None] * 3

    anyio.run(main, **backend)


@each_backend
def test_call_from_a_worker_thread_under_another_root(backend, tracer, now):
    """Scenario 17: they belong to the root span that the worker started."""
    seen = []

    async def step():
        seen.append(now())
        await anyio.lowlevel.checkpoint()
        seen.append(now())

    def endpoint():
        with tracer.start_as_current_span("B", context=Context()):
            anyio_from_thread.run(step)
            anyio_from_thread.run_sync(lambda: seen.append(now()))
            seen.append(now())
        seen.append(now())

    async def main():
        with tracer.start_as_current_span("A"):
            await anyio_to_thread.run_sync(endpoint)
            assert now() == "A"
        assert now() is None

    anyio.run(main, **backend)
    assert seen == ["B", "B", "B", "B", "A"]


@each_backend
def test_portal_opened_in_a_request(backend, tracer, now):
    """Scenarios 17 and 19: a call belongs to its caller, and does not keep the request alive."""
    with contextlib.ExitStack() as stack:
        _use_portal(stack, backend, tracer, now)


def _use_portal(stack, backend, tracer, now):
    async def step():
        name = now()
        await anyio.lowlevel.checkpoint()
        assert now() == name
        return name

    with tracer.start_as_current_span("A"):
        portal = stack.enter_context(anyio_from_thread.start_blocking_portal(**backend))
        assert portal.call(step) == "A"
        with tracer.start_as_current_span("B", context=Context()):
            assert portal.call(step) == "B"
            assert portal.call(now) == "B"
    with tracer.start_as_current_span("C"):
        assert portal.call(step) == "C"
    assert portal.call(step) is None


@each_backend
def test_run_sync_imported_before_the_hook(backend, tracer, now, recorder):
    """Scenario 17: a function imported by name earlier is not followed, and never wrong."""
    HOOK.remove()
    run_sync = anyio_to_thread.run_sync
    HOOK.install()
    assert run_sync is not anyio_to_thread.run_sync

    async def main():
        with tracer.start_as_current_span("A"):
            assert await run_sync(now) in (None, "A")
            assert now() == "A"
        assert recorder.left_on_others() == {}

    anyio.run(main, **backend)


def test_trio_thread_is_named_after_the_function(tracer, now):
    """And not after our wrapper."""
    trio = pytest.importorskip("trio")

    def endpoint():
        return threading.current_thread().name, now()

    async def main():
        with tracer.start_as_current_span("A"):
            name, root = await trio.to_thread.run_sync(endpoint)
            assert name.startswith("endpoint from ")
            assert root == "A"

    trio.run(main)


@each_backend
def test_worker_jobs_make_no_garbage(backend, tracer, now):
    """A job in a worker leaves no more garbage than the library itself makes."""

    async def main():
        async def hops(count):
            with tracer.start_as_current_span("A"):
                for _ in range(count):
                    await anyio_to_thread.run_sync(now)

        async def garbage(count):
            await hops(10)
            gc.collect()
            await hops(count)
            return gc.collect()

        try:
            with collected_by_hand():
                few, many = await garbage(10), await garbage(100)
                following.remove()
                few_without, many_without = await garbage(10), await garbage(100)
            assert many - few <= many_without - few_without
        finally:
            following.install()

    anyio.run(main, **backend)
