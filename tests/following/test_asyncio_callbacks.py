"""Callbacks on asyncio's and uvloop's loops belong to the request that registered them."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import socket
import sys
import threading

import pytest
from opentelemetry import trace
from opentelemetry.context import Context

from pyroscope_otel.link.profile import PROFILE_ID_ATTRIBUTE
from tests.support.event_loops import each_loop, run


@each_loop
def test_callback_belongs_to_the_request_that_registered_it(new_loop, tracer, now):
    """Scenario 7: call_soon, call_later, call_at, a future's callback."""
    seen = {}

    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        calls = ("soon", "later", "at", "threadsafe", "future")
        events = {key: asyncio.Event() for key in calls}

        def note(key, *_):
            seen[key] = now()
            events[key].set()

        with tracer.start_as_current_span("A"):
            loop.call_soon(note, "soon")
            loop.call_later(0, note, "later")
            loop.call_at(loop.time(), note, "at")
            loop.call_soon_threadsafe(note, "threadsafe")
            future.add_done_callback(lambda _: note("future"))
            with tracer.start_as_current_span("B", context=Context()):
                future.set_result(None)
                await asyncio.gather(*(event.wait() for event in events.values()))
        assert now() is None

    run(main, new_loop)
    assert seen == dict.fromkeys(("soon", "later", "at", "threadsafe", "future"), "A")


@each_loop
def test_callback_with_its_own_context(new_loop, tracer, now):
    """Scenarios 5 and 7: `context=`."""
    seen = {}

    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        calls = ("soon", "later", "at", "threadsafe", "future")
        events = {key: asyncio.Event() for key in calls}

        def note(key, *_):
            seen[key] = now()
            events[key].set()

        empty = contextvars.Context()
        with tracer.start_as_current_span("A"):
            loop.call_soon(note, "soon", context=empty)
            loop.call_later(0, note, "later", context=empty)
            loop.call_at(loop.time(), note, "at", context=empty)
            loop.call_soon_threadsafe(note, "threadsafe", context=empty)
            future.add_done_callback(lambda _: note("future"), context=empty)
            future.set_result(None)
            await asyncio.gather(*(event.wait() for event in events.values()))

    run(main, new_loop)
    assert seen == dict.fromkeys(("soon", "later", "at", "threadsafe", "future"))


@each_loop
def test_callback_from_another_thread_belongs_to_that_thread(new_loop, tracer, now):
    """Scenario 7: call_soon_threadsafe, inside a root span and outside."""
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        first, second = asyncio.Event(), asyncio.Event()

        def callback(called):
            seen.append(now())
            called.set()

        def other_thread():
            with tracer.start_as_current_span("B"):
                loop.call_soon_threadsafe(callback, first)
                told.wait()
            loop.call_soon_threadsafe(callback, second)

        told = threading.Event()
        thread = threading.Thread(target=other_thread)
        with tracer.start_as_current_span("A"):
            thread.start()
            await first.wait()
            assert now() == "A"
            told.set()
            await second.wait()
            assert now() == "A"
        thread.join()

    run(main, new_loop)
    assert seen == ["B", None]


@each_loop
@pytest.mark.parametrize("what", ["reader", "writer"])
def test_file_descriptor_callback_belongs_to_the_request_that_registered_it(
    what, new_loop, tracer, now
):
    """Scenario 7: each call, and none once the root span has ended."""
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        calls = asyncio.Queue()

        def callback():
            seen.append(now())
            if what == "reader":
                ours.recv(1)
            calls.put_nowait(None)

        async def called(times):
            for _ in range(times):
                if what == "reader":
                    theirs.send(b".")
                await calls.get()

        with ours, theirs:
            ours.settimeout(0)
            with tracer.start_as_current_span("A"):
                (loop.add_reader if what == "reader" else loop.add_writer)(ours, callback)
                with tracer.start_as_current_span("B", context=Context()):
                    await called(2)
                    assert now() == "B"
            assert now() is None
            del seen[2:]
            while not calls.empty():
                calls.get_nowait()
            await called(2)
            (loop.remove_reader if what == "reader" else loop.remove_writer)(ours)

    run(main, new_loop)
    assert seen[:4] == ["A", "A", None, None]


@each_loop
def test_signal_callback_belongs_to_the_request_that_registered_it(new_loop, tracer, now):
    """Scenario 7: add_signal_handler."""
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        called = asyncio.Event()

        def callback():
            seen.append(now())
            called.set()

        with tracer.start_as_current_span("A"):
            loop.add_signal_handler(signal.SIGUSR1, callback)
            with tracer.start_as_current_span("B", context=Context()):
                os.kill(os.getpid(), signal.SIGUSR1)
                await called.wait()
                assert now() == "B"
        called.clear()
        os.kill(os.getpid(), signal.SIGUSR1)
        await called.wait()
        loop.remove_signal_handler(signal.SIGUSR1)

    run(main, new_loop)
    assert seen == ["A", None]


@each_loop
def test_timer_that_fires_after_the_request(new_loop, tracer, now):
    """Scenario 8: none."""
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        fired = asyncio.Event()

        def callback():
            seen.append(now())
            fired.set()

        with tracer.start_as_current_span("A"):
            loop.call_later(0, callback)
        with tracer.start_as_current_span("B"):
            await fired.wait()
            assert now() == "B"

    run(main, new_loop)
    assert seen == [None]


@each_loop
def test_transport_callbacks_belong_to_the_request_that_opened_it(new_loop, tracer, now):
    """Scenario 9: also during other requests. Those that uvloop calls belong to none."""

    class Protocol(asyncio.Protocol):
        def __init__(self):
            self.seen = asyncio.Queue()

        def data_received(self, data):
            self.seen.put_nowait((data, now()))

    async def main():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            with tracer.start_as_current_span("opener"):
                transport, protocol = await loop.create_connection(Protocol, sock=ours)
                theirs.send(b"1")
                data, name = await protocol.seen.get()
                assert data == b"1"
                assert name in ("opener", None)
                if isinstance(loop, asyncio.BaseEventLoop):
                    assert name == "opener"
                assert now() == "opener"
            with tracer.start_as_current_span("later"):
                theirs.send(b"2")
                assert await protocol.seen.get() == (b"2", None)
                assert now() == "later"
            transport.close()
            await asyncio.sleep(0)

    run(main, new_loop)


@each_loop
def test_next_request_in_the_context_of_the_previous_one(new_loop, tracer, now, exporter):
    """Scenario 10: its span is a child of the ended span, and a new local root span."""
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        finished = asyncio.Event()

        async def second_request():
            seen.append(now())
            with tracer.start_as_current_span("second", kind=trace.SpanKind.INTERNAL):
                seen.append(now())
                await asyncio.sleep(0)
                seen.append(now())
            seen.append(now())
            finished.set()

        with tracer.start_as_current_span("first"):
            kept = contextvars.copy_context()
        loop.call_soon(lambda: tasks.append(loop.create_task(second_request())), context=kept)
        tasks = []
        await finished.wait()
        await asyncio.gather(*tasks)

    run(main, new_loop)
    assert seen == [None, "second", "second", None]
    first, second = exporter.get_finished_spans()
    assert second.parent.span_id == first.context.span_id
    assert second.attributes[PROFILE_ID_ATTRIBUTE] == format(second.context.span_id, "016x")


@each_loop
def test_exception_handler_of_the_loop(new_loop, tracer, now):
    """Scenario 11: it belongs to the failing callback's request."""
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        handled = asyncio.Event()

        def handler(_, details):
            name = getattr(trace.get_current_span(), "name", None)
            seen.append((type(details["exception"]), name, now()))
            handled.set()

        def fail():
            assert now() == "A"
            raise ValueError

        loop.set_exception_handler(handler)
        with tracer.start_as_current_span("A"):
            loop.call_soon(fail)
            with tracer.start_as_current_span("B", context=Context()):
                await handled.wait()
                assert now() == "B"

    run(main, new_loop)
    ((kind, current, carried),) = seen
    assert kind is ValueError
    if new_loop is asyncio.SelectorEventLoop and sys.version_info < (3, 12):
        assert current is None  # CPython runs it outside the callback's context.
    else:
        assert current == "A"
    # Still the failed callback's request: its step calls the handler.
    assert carried == "A"


@each_loop
def test_exception_handler_called_by_hand(new_loop, tracer, now):
    """Scenario 11: it belongs to the step that calls it."""
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, details: seen.append((details["message"], now())))
        with tracer.start_as_current_span("A"):
            loop.call_exception_handler({"message": "by hand"})
            assert now() == "A"

    run(main, new_loop)
    assert seen == [("by hand", "A")]
