"""Small cases that come out wrong if Twisted is not kept apart."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.python import threadable

from tests.following.loop_miniatures import new_root
from tests.support.threads import in_threads


def on_a_reactor_thread(tracer, now):
    right = []

    def reactor():
        threadable.registerAsIOThread()
        with new_root(tracer, "A"):
            right.append(now() is None)

    before = threadable.ioThread
    try:
        in_threads(reactor)
    finally:
        threadable.ioThread = before
    return all(right)


def on_asyncio(tracer, now, begin):
    """Begin something with Twisted under A; return the name that its callback's samples have."""
    seen = []

    async def main():
        called = asyncio.Event()

        def callback():
            seen.append(now())
            called.set()

        with new_root(tracer, "A"):
            begin(reactor, callback)
            await called.wait()

    with closing(asyncio.new_event_loop()) as loop:
        reactor = AsyncioSelectorReactor(loop)
        loop.run_until_complete(main())
        reactor.removeAll()
        for reader in reactor._internalReaders:
            reader.connectionLost(None)
    return seen


def twisted_timer(tracer, now):
    def begin(reactor, callback):
        reactor.callLater(0, callback)

    return on_asyncio(tracer, now, begin) == [None]


class Reader:
    """Reads once."""

    def __init__(self, reactor, received, callback):
        self.fileno = received.fileno
        self._reactor = reactor
        self._callback = callback

    def logPrefix(self):  # noqa: N802  Twisted's name
        return "test"

    def doRead(self):  # noqa: N802  Twisted's name
        self._reactor.removeReader(self)
        self._callback()


def twisted_reader(tracer, now):
    sent, received = socket.socketpair()

    def begin(reactor, callback):
        reactor.addReader(Reader(reactor, received, callback))
        sent.send(b"x")

    with sent, received:
        return on_asyncio(tracer, now, begin) == [None]


MINIATURES = [
    ("TwistedReactor", None, on_a_reactor_thread),
    ("TwistedOnAsyncio", "runUntilCurrent", twisted_timer),
    ("TwistedOnAsyncio", "_readOrWrite", twisted_reader),
]
