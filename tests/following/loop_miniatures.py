"""Small cases that come out wrong without an event loop's hook."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
import socket
import sys

import pytest
from opentelemetry import trace
from opentelemetry.context import Context

from tests.support.event_loops import run
from tests.support.threads import in_threads

uvloop = pytest.importorskip("uvloop")


def new_root(tracer, name):
    return tracer.start_as_current_span(name, context=Context())


def in_turn(new_loop):
    def miniature(tracer, now):
        async def request(name):
            right = []
            with new_root(tracer, name):
                for _ in range(3):
                    await asyncio.sleep(0)
                    right.append(now() == name)
            return all(right)

        async def main():
            return all(await asyncio.gather(request("A"), request("B")))

        return run(main, new_loop)

    return miniature


def called_back(schedule):
    """Make a miniature of a callback registered under one root span and run under another."""

    def miniature(tracer, now):
        async def main():
            loop = asyncio.get_running_loop()
            seen = loop.create_future()
            with contextlib.ExitStack() as stack, new_root(tracer, "A"):
                schedule(stack, loop, lambda: seen.done() or seen.set_result(now()))
                with new_root(tracer, "B"):
                    return await seen == "A"

        return run(main, uvloop.Loop)

    return miniature


def threadsafe(_, loop, callback):
    context = contextvars.copy_context()
    in_threads(lambda: context.run(loop.call_soon_threadsafe, callback))


def reader(stack, loop, callback):
    ours, theirs = map(stack.enter_context, socket.socketpair())
    theirs.send(b".")
    loop.add_reader(ours, callback)
    stack.callback(loop.remove_reader, ours)


def writer(stack, loop, callback):
    ours, _ = map(stack.enter_context, socket.socketpair())
    loop.add_writer(ours, callback)
    stack.callback(loop.remove_writer, ours)


def signalled(stack, loop, callback):
    loop.add_signal_handler(signal.SIGUSR1, callback)
    stack.callback(loop.remove_signal_handler, signal.SIGUSR1)
    loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)


def failing(new_loop):
    def miniature(tracer, now):
        """Return whether an exception handler carries what is current there."""

        async def main():
            loop = asyncio.get_running_loop()
            seen = loop.create_future()

            def handler(*_):
                seen.set_result(now() == getattr(trace.get_current_span(), "name", None))

            def fail():
                raise ValueError

            loop.set_exception_handler(handler)
            with new_root(tracer, "A"):
                loop.call_soon(fail)
                return await seen

        return run(main, new_loop)

    return miniature


def run_inside(new_loop):
    def miniature(tracer, now):
        """Return whether a root outside the loop is there between its callbacks."""

        class Protocol(asyncio.Protocol):
            def data_received(self, _):
                seen.append(now())
                received.set()

        seen = []
        received = None

        async def main():
            nonlocal received
            received = asyncio.Event()
            ours, theirs = socket.socketpair()
            with theirs:
                transport, _ = await asyncio.get_running_loop().create_connection(
                    Protocol, sock=ours
                )
                theirs.send(b".")
                await received.wait()
                transport.close()

        with new_root(tracer, "outside"):
            run(main, new_loop)
        return seen == ["outside"]

    return miniature


def eager(new_loop):
    def miniature(tracer, now):
        def factory(loop, coro, **options):
            options["eager_start"] = True
            return asyncio.Task(coro, loop=loop, **options)

        async def child():
            with new_root(tracer, "B"):
                await asyncio.sleep(0)

        async def main():
            asyncio.get_running_loop().set_task_factory(factory)
            with new_root(tracer, "A"):
                task = asyncio.create_task(child())
                right = now() == "A"
                await task
            return right

        return run(main, new_loop)

    return miniature


SELECTOR = asyncio.SelectorEventLoop
MINIATURES = [
    ("AsyncioSteps", None, in_turn(SELECTOR)),
    ("AsyncioSteps", "_run", in_turn(SELECTOR)),
    ("UvloopSteps", None, in_turn(uvloop.Loop)),
    ("UvloopSteps", "call_soon", in_turn(uvloop.Loop)),
    ("UvloopSteps", "call_soon_threadsafe", called_back(threadsafe)),
    (
        "UvloopSteps",
        "call_later",
        called_back(lambda _, loop, callback: loop.call_later(0, callback)),
    ),
    ("UvloopSteps", "call_later", called_back(lambda _, loop, callback: loop.call_at(0, callback))),
    ("UvloopSteps", "add_reader", called_back(reader)),
    ("UvloopSteps", "add_writer", called_back(writer)),
    ("UvloopSteps", "add_signal_handler", called_back(signalled)),
    ("UvloopSteps", "call_exception_handler", failing(uvloop.Loop)),
    ("UvloopSteps", "run_forever", run_inside(uvloop.Loop)),
]
if sys.version_info >= (3, 12):
    MINIATURES += [
        ("AsyncioSteps", "create_task", eager(SELECTOR)),
        ("UvloopSteps", "create_task", eager(uvloop.Loop)),
    ]
