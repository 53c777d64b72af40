"""Requests that take random turns, and check at each point whom a sample would belong to."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor

import anyio
import sqlalchemy.ext.asyncio  # noqa: F401  its greenlets are followed once it is imported
from asgiref.sync import async_to_sync, sync_to_async
from opentelemetry import context as otel_context
from opentelemetry import trace
from sqlalchemy.util import await_only, greenlet_spawn

from pyroscope_otel.link.held_request import hold_request, release, run_held_async
from tests.support.walk import DEPTH, Walk

FOREIGN = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))


class RandomWalk(Walk):
    """Three requests at a time that take random turns.

    The same seed mostly gives the same turns: where threads take part, the order in which they
    draw numbers depends on the machine.
    """

    async def serve(self):
        await asyncio.gather(*(asyncio.create_task(self._request()) for _ in range(3)))
        self._check(None)

    async def _request(self):
        kind = self._random.choice(("by hand", "held", "held with background work", "none"))
        if kind == "by hand":
            await self._root(0)
        elif kind == "none":
            await self._walk(None, 1)
        else:
            hold = hold_request({})
            try:
                await run_held_async(hold, self._held, kind)
            finally:
                release(hold)
        self._check(None)
        await asyncio.sleep(0)
        self._check(None)

    async def _held(self, kind):
        name = await self._root(0)
        if kind == "held with background work":
            self._check(name)
            await self._walk(name, 2)

    async def _root(self, depth):
        with self._new_root() as name:
            await self._walk(name, depth)
        return name

    async def _walk(self, name, depth):
        steps = [asyncio.sleep]
        if depth < DEPTH:
            steps += (self._in_child, self._in_root, self._in_foreign, self._with_value)
            steps += (self._in_task, self._gather, self._in_callback, self._nested)
            steps += (self._to_thread, self._in_executor, self._by_anyio, self._in_greenlet)
            steps += (self._sync_to_async,)
        for _ in range(self._random.randint(1, 3)):
            self._check(name)
            step = self._random.choice(steps)
            await (step(0) if step is asyncio.sleep else step(name, depth + 1))
            self._check(name)

    async def _in_child(self, name, depth):
        with self._child(name) as of_child:
            await self._walk(of_child, depth)

    async def _in_root(self, _name, depth):
        await self._root(depth)

    async def _in_foreign(self, _name, depth):
        with trace.use_span(FOREIGN):
            await self._walk(None, depth)

    async def _with_value(self, name, depth):
        token = otel_context.attach(otel_context.set_value("key", "value"))
        try:
            await self._walk(name, depth)
        finally:
            otel_context.detach(token)

    async def _in_task(self, name, depth):
        await asyncio.create_task(self._walk(name, depth))

    async def _gather(self, name, depth):
        await asyncio.gather(self._walk(name, depth), self._root(depth))

    async def _in_callback(self, name, _depth):
        called = asyncio.get_running_loop().create_future()

        def call():
            self._check(name)
            called.set_result(None)

        asyncio.get_running_loop().call_soon(call)
        await called

    async def _nested(self, name, depth):
        """Serve another application's request, as an in-process client does."""
        if not trace.get_current_span().is_recording():
            return
        hold = hold_request({})
        try:
            await run_held_async(hold, self._walk, name, depth)
        finally:
            release(hold)

    async def _to_thread(self, name, depth):
        await asyncio.to_thread(self._walk_sync, name, depth)

    async def _in_executor(self, name, depth):
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._walk_sync, name, depth)

    async def _by_anyio(self, name, depth):
        await anyio.to_thread.run_sync(self._walk_sync, name, depth)

    async def _in_greenlet(self, name, depth):
        """Run synchronous code as SQLAlchemy's asyncio extension does."""
        await greenlet_spawn(self._walk_sync, name, depth, await_only)

    async def _sync_to_async(self, name, depth):
        run = sync_to_async(self._walk_sync, thread_sensitive=False)
        await run(name, depth, async_to_sync(asyncio.sleep))

    def _walk_sync(self, name, depth, wait=None):
        """Take steps in a synchronous function.

        Args:
            name: The name of the root span.
            depth: How deep the steps are nested.
            wait: Waits for an asynchronous function.
        """
        choices = ("child", "root", "foreign", "wait", "job") if depth < DEPTH else ("wait",)
        for _ in range(self._random.randint(1, 3)):
            self._check(name)
            choice = self._random.choice(choices)
            if choice == "child":
                with self._child(name) as of_child:
                    self._walk_sync(of_child, depth + 1, wait)
            elif choice == "root":
                with self._new_root() as of_root:
                    self._walk_sync(of_root, depth + 1, wait)
            elif choice == "foreign":
                with trace.use_span(FOREIGN):
                    self._walk_sync(None, depth + 1, wait)
            elif choice == "job":
                with ThreadPoolExecutor(1) as pool:
                    pool.submit(self._walk_sync, name, depth + 1).result()
            elif wait is await_only:
                await_only(asyncio.sleep(0))
            elif wait is not None:
                wait(0)
            self._check(name)

    @contextlib.contextmanager
    def _child(self, name):
        """Start a span: a child, or a root if there is no parent."""
        if not trace.get_current_span().get_span_context().is_valid:
            with self._new_root() as name_of_root:
                yield name_of_root
        else:
            with self._tracer.start_as_current_span("child"):
                yield name
