"""Small applications that run while our code fails. Their results must not change."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import greenlet
from anyio import to_thread
from opentelemetry import trace

from pyroscope_otel.link.held_request import hold_request, release, run_held, run_held_async
from tests.support.held import held


class OursError(Exception):
    """The error that tests inject into our code."""


def fail(*_args, **_kwargs):
    raise OursError


class Unhashable:
    """A key that raises when it is looked up."""

    def __hash__(self):
        raise OursError


def spans(tracer):
    with tracer.start_as_current_span("root") as root:
        root.update_name("renamed")
        with tracer.start_as_current_span("child") as child:
            assert trace.get_current_span() is child
        assert trace.get_current_span() is root
    assert trace.get_current_span() is trace.INVALID_SPAN
    return root.name, child.parent.span_id == root.context.span_id, root.end_time is not None


def foreign_spans(tracer):
    with tracer.start_as_current_span("root") as root:
        context = trace.SpanContext(root.context.trace_id, 8, is_remote=False)
        with trace.use_span(trace.NonRecordingSpan(context)) as foreign:
            assert trace.get_current_span() is foreign
    return trace.get_current_span() is trace.INVALID_SPAN


def event_loop(tracer):
    async def task(number):
        with tracer.start_as_current_span("root") as root:
            await asyncio.sleep(0)
            assert trace.get_current_span() is root
            await asyncio.sleep(0)
        return number

    async def main():
        loop = asyncio.get_running_loop()
        if sys.version_info >= (3, 12):
            loop.set_task_factory(asyncio.eager_task_factory)
        done = loop.create_future()
        loop.call_soon(done.set_result, 3)
        return [*await asyncio.gather(task(1), task(2)), await done]

    return asyncio.run(main())


def thread_pool(tracer):
    with ThreadPoolExecutor(1) as pool, tracer.start_as_current_span("root"):
        return pool.submit(lambda *args, **kwargs: (args, kwargs), 1, key=2).result()


def anyio_worker(tracer):
    async def main():
        with tracer.start_as_current_span("root") as root:
            return await to_thread.run_sync(lambda: trace.get_current_span() is root)

    result = asyncio.run(main())
    for thread in threading.enumerate():
        if thread.name.startswith("AnyIO worker"):
            thread.join()
    return result


def greenlets(tracer):
    def run():
        with tracer.start_as_current_span("inner") as inner:
            back = greenlet.getcurrent().parent.switch("out")
            return back, trace.get_current_span() is inner

    with tracer.start_as_current_span("outer") as outer:
        other = greenlet.greenlet(run)
        other.gr_context = contextvars.copy_context()
        first = other.switch()
        assert trace.get_current_span() is outer
        return first, other.switch("in")


def held_request(tracer):
    def endpoint(number):
        with tracer.start_as_current_span("root"):
            return number

    async def asynchronous_endpoint(number):
        with tracer.start_as_current_span("root"):
            await asyncio.sleep(0)
            return number

    async def serve():
        hold = hold_request({})
        if hold is None:  # An outer layer holds it.
            return await asynchronous_endpoint(2)
        try:
            return await run_held_async(hold, asynchronous_endpoint, 2)
        finally:
            release(hold)

    results = [asyncio.run(serve())]
    hold = hold_request({})
    if hold is None:
        results += [endpoint(0), endpoint(1)]
    else:
        with held(hold):
            results.append(endpoint(0))
        results.append(run_held(hold, endpoint, 1))
        release(hold)
    return results, trace.get_current_span() is trace.INVALID_SPAN


def still_current(tracer):
    with tracer.start_as_current_span("root", end_on_exit=False) as root:
        root.end()
        with tracer.start_as_current_span("next") as following:
            return following.parent.span_id == root.context.span_id


APPLICATIONS = [
    spans,
    still_current,
    foreign_spans,
    event_loop,
    thread_pool,
    anyio_worker,
    greenlets,
    held_request,
]
