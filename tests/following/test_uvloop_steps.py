"""uvloop alone: its methods are wrapped one by one, and its handles are compiled.

The cases it shares with asyncio are in `test_asyncio_*.py`.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import signal
import socket
import sys
import weakref

import pytest
from opentelemetry.context import Context

from pyroscope_otel import following
from pyroscope_otel.link.marks import FILENAME
from tests.support.event_loops import closing_loop, needs_uvloop
from tests.support.event_loops import run as run_on
from tests.support.threads import in_threads

uvloop = pytest.importorskip("uvloop")
pytestmark = needs_uvloop

HOOK = following.named("UvloopSteps")


def run(main):
    return run_on(main, uvloop.Loop)


@pytest.mark.usefixtures("marks_alone")
def test_each_callback_runs_through_one_mark(tracer, now):
    """`call_at` calls `call_later`, and the callback is wrapped once."""

    def callback():
        frame, count = sys._getframe(), 0
        while frame is not None:
            count += frame.f_code.co_filename == FILENAME
            frame = frame.f_back
        marks.append(count)
        assert now() == "A"
        called.set()

    marks = []
    called = asyncio.Event()

    async def main():
        loop = asyncio.get_running_loop()
        with tracer.start_as_current_span("A"):
            in_a = contextvars.copy_context()
            outside = contextvars.Context()
            for schedule in (
                lambda: loop.call_soon(callback, context=in_a),
                lambda: loop.call_soon_threadsafe(callback, context=in_a),
                lambda: loop.call_later(0, callback, context=in_a),
                lambda: loop.call_at(loop.time(), callback, context=in_a),
            ):
                called.clear()
                waiting = outside.run(asyncio.ensure_future, called.wait())
                schedule()
                await waiting
                assert now() == "A"

    run(main)
    assert marks == [1] * 4


@pytest.mark.usefixtures("marks_alone")
def test_steps_of_a_request_never_call_the_agent(tracer, now, recorder):
    """The stack alone names requests that take turns."""

    async def request(name):
        with tracer.start_as_current_span(name):
            await asyncio.sleep(0)
            calls = len(recorder.log)
            for _ in range(3):
                with tracer.start_as_current_span("child"):
                    await asyncio.sleep(0)
                    assert now() == name
            counted.append(len(recorder.log) - calls)

    counted = []

    async def main():
        # All have started by the first count. Later counts include the ends of others.
        await asyncio.gather(*map(request, "ABC"))

    run(main)
    assert counted[0] == 0


def test_ended_loop_keeps_no_request(silent_tracer):
    """The context that a loop started in is kept while it runs."""
    kept = []

    async def main():
        pass

    def request():
        with silent_tracer.start_as_current_span("A") as root:
            kept.append(weakref.ref(root))
            run(main)

    gc.collect()
    gc.disable()
    try:
        contextvars.Context().run(request)
        assert kept[0]() is None
    finally:
        gc.enable()


def test_callback_given_by_keyword(tracer, now):
    """Like uvloop, the wrapper accepts `callback=`."""

    async def main():
        loop = asyncio.get_running_loop()
        seen = asyncio.Queue()

        def callback():
            seen.put_nowait(now())

        with tracer.start_as_current_span("A"):
            loop.call_soon(callback=callback)
            loop.call_soon_threadsafe(callback=callback)
            loop.call_later(delay=0, callback=callback)
            loop.call_at(when=loop.time(), callback=callback)
            for _ in range(4):
                assert await seen.get() == "A"

    run(main)


def test_registration_by_keyword(tracer, now):
    """The other arguments keep their names too."""

    async def main():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        seen = asyncio.Queue()

        def callback():
            seen.put_nowait(now())
            loop.remove_reader(ours)
            loop.remove_writer(ours)

        with ours, theirs, tracer.start_as_current_span("A"):
            loop.add_writer(fileobj=ours, callback=callback)
            assert await seen.get() == "A"
            loop.add_reader(fileobj=ours, callback=callback)
            theirs.send(b".")
            assert await seen.get() == "A"
            loop.add_signal_handler(sig=signal.SIGUSR1, callback=callback)
            os.kill(os.getpid(), signal.SIGUSR1)
            assert await seen.get() == "A"
            loop.remove_signal_handler(signal.SIGUSR1)

    run(main)


@pytest.mark.usefixtures("recorder")
def test_coroutine_function_as_a_signal_callback_is_still_refused():
    """The check of uvloop sees the application's callback, not ours."""

    async def callback():
        pass

    async def main():
        with pytest.raises(TypeError, match="coroutines cannot be used"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, callback)

    run(main)


def test_cancelled_callback_is_not_called(tracer, now):
    """The handle is uvloop's own."""
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        with tracer.start_as_current_span("A"):
            handles = [loop.call_soon(seen.append, 1), loop.call_later(0, seen.append, 1)]
            for handle in handles:
                handle.cancel()
                assert handle.cancelled()
            reached = asyncio.Event()
            loop.call_later(0, reached.set)
            await reached.wait()
            assert now() == "A"

    run(main)
    assert seen == []


def test_arguments_and_exceptions_pass_through(tracer, now):
    """The callback is called with its arguments, the handler with its exception."""
    seen = []

    async def main():
        loop = asyncio.get_running_loop()

        def callback(*args):
            seen.append(args)
            raise ValueError(*args)

        def handler(_, details):
            seen.append(repr(details["exception"]))
            if len(seen) == 4:
                finished.set()

        finished = asyncio.Event()
        loop.set_exception_handler(handler)
        with tracer.start_as_current_span("A"):
            loop.call_soon(callback, 1, 2)
            loop.call_later(0, callback, 3)
            await finished.wait()
            assert now() == "A"

    run(main)
    assert sorted(map(str, seen)) == ["(1, 2)", "(3,)", "ValueError(1, 2)", "ValueError(3)"]


def test_loop_has_the_outer_context_between_callbacks(tracer, now):
    """A callback's context is left in the callback. The idle loop has the outer one."""

    class Protocol(asyncio.Protocol):
        seen = None

        def data_received(self, _):
            Protocol.seen = now()
            received.set()

    received = None

    async def main():
        nonlocal received
        received = asyncio.Event()
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            transport, _ = await loop.create_connection(Protocol, sock=ours)
            with tracer.start_as_current_span("A", context=Context()):
                theirs.send(b".")
                # uvloop calls the protocol itself, between two callbacks.
                await received.wait()
                assert now() == "A"
            transport.close()

    run(main)
    assert Protocol.seen is None
    with tracer.start_as_current_span("outside"):
        run(main)
        assert Protocol.seen == "outside"
        assert now() == "outside"


def test_outer_root_ends_while_the_loop_runs(tracer, now):
    """The outer context is checked after each callback."""
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        outside.end()
        called = asyncio.Event()

        def callback():
            seen.append(now())
            called.set()

        loop.call_soon(callback)
        await called.wait()
        assert now() is None

    with tracer.start_as_current_span("outside", end_on_exit=False) as outside:
        run(main)
        assert now() is None
    assert seen == [None]


def test_refused_nested_run_changes_nothing(tracer, now):
    """`run_forever` raises inside a callback."""

    async def main():
        loop = asyncio.get_running_loop()
        with tracer.start_as_current_span("A", context=Context()):
            with pytest.raises(RuntimeError):
                loop.run_forever()
            assert now() == "A"
            await asyncio.sleep(0)
            assert now() == "A"
        await asyncio.sleep(0)
        assert now() == "outside"

    with tracer.start_as_current_span("outside"):
        run(main)
        assert now() == "outside"


def test_loops_on_two_threads(tracer, now):
    """The outer context is kept for each thread."""

    async def main(name):
        await asyncio.sleep(0)
        assert now() == name
        with tracer.start_as_current_span("inner", context=Context()):
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert now() == name

    def thread(name):
        with tracer.start_as_current_span(name):
            run(lambda: main(name))
            assert now() == name

    in_threads(lambda: thread("A"), lambda: thread("B"))


def test_loop_that_runs_twice(tracer, now):
    """Each run has the outer context that it started in."""

    async def main(name):
        await asyncio.sleep(0)
        assert now() == name

    with closing_loop(uvloop.Loop) as loop:
        for name in "AB":
            with tracer.start_as_current_span(name):
                loop.run_until_complete(main(name))
                assert now() == name
            loop.run_until_complete(main(None))
            assert now() is None
