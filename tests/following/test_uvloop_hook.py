"""The hook into uvloop, installed and removed while a loop runs."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from pyroscope_otel import following
from tests.support.event_loops import closing_loop, needs_uvloop
from tests.support.event_loops import run as run_on

uvloop = pytest.importorskip("uvloop")
pytestmark = needs_uvloop

HOOK = following.named("UvloopSteps")


def run(main):
    return run_on(main, uvloop.Loop)


@contextlib.contextmanager
def hook_removed():
    HOOK.remove()
    try:
        yield
    finally:
        HOOK.install()


def test_hook_removed_inside_a_callback(tracer, now):
    """Callbacks scheduled before are followed to their end, and no label stays."""
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        called = asyncio.Event()

        def callback():
            seen.append(now())
            HOOK.remove()

        def later():
            seen.append(now())
            called.set()

        with tracer.start_as_current_span("A"):
            loop.call_soon(callback)
            loop.call_soon(later)
            await called.wait()

    try:
        run(main)
    finally:
        HOOK.install()
    assert seen == ["A", "A"]
    assert now() is None


def test_hook_installed_while_a_loop_runs(tracer, now):
    """It follows callbacks scheduled from then on."""

    async def main():
        with tracer.start_as_current_span("A"):
            HOOK.install()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert now() == "A"
            await asyncio.sleep(0)
            assert now() == "A"
        await asyncio.sleep(0)
        assert now() is None

    with hook_removed():
        run(main)


@pytest.mark.parametrize("debugs", [False, True])
def test_loop_names_the_callback_in_debug_mode(monkeypatch, debugs):
    """Its messages about slow callbacks and exceptions name the application's function."""

    def mine():
        pass

    async def main():
        return repr(asyncio.get_running_loop().call_soon(mine))

    monkeypatch.setattr(HOOK, "debugs", False)
    following.install()
    with closing_loop(uvloop.Loop) as loop:
        loop.set_debug(debugs)
        assert ("mine" in loop.run_until_complete(main())) is debugs
