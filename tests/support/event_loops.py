"""Runs a coroutine function on an event loop of asyncio or uvloop, on every Python."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util

import pytest


def _new_uvloop():
    import uvloop

    return uvloop.Loop()


needs_uvloop = pytest.mark.skipif(
    importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed"
)
new_uvloop = pytest.param(_new_uvloop, id="uvloop", marks=needs_uvloop)

each_loop = pytest.mark.parametrize(
    "new_loop", [pytest.param(asyncio.SelectorEventLoop, id="asyncio"), new_uvloop]
)
"""Runs a test once for each loop: its argument `new_loop` is for `run`."""


def run(main, new_loop=asyncio.SelectorEventLoop):
    """Run `main()` on a new loop, and close the loop.

    `asyncio.Runner` is new in Python 3.11.
    """
    with closing_loop(new_loop) as loop:
        return loop.run_until_complete(main())


@contextlib.contextmanager
def closing_loop(new_loop):
    """Make a loop, and close it as `asyncio.run` does."""
    loop = new_loop()
    try:
        yield loop
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


async def turns(now, name, log, count=4):
    """Take a few steps and check that samples in each have this name."""
    for _ in range(count):
        log.append(name)
        assert now() == name
        await asyncio.sleep(0)
        assert now() == name
