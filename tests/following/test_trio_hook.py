"""The hook into trio, installed and removed while trio runs."""

from __future__ import annotations

import threading

import pytest
from opentelemetry import context as otel_context
from opentelemetry.context import Context

from pyroscope_otel import following
from pyroscope_otel.link.thread_labels import this_thread
from tests.following.trio_turns import Turns, steps
from tests.support.threads import in_threads

trio = pytest.importorskip("trio")

HOOK = following.named("TrioSteps")


def test_hook_installed_during_a_run(tracer, now):

    async def main():
        HOOK.install()
        turns = Turns("A", "untraced")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(steps, now, None, turns, "untraced")
            with tracer.start_as_current_span("A"):
                await steps(now, "A", turns, "A")

    HOOK.remove()
    try:
        trio.run(main)
    finally:
        HOOK.install()


def test_hook_removed_during_a_run(tracer, now, recorder):
    """From then on it does nothing, also in a run on another thread."""
    running, removed = threading.Event(), threading.Event()

    async def main():
        with tracer.start_as_current_span("A"):
            await trio.lowlevel.checkpoint()
            assert now() == "A"
            token = otel_context.attach(Context())
            assert now() is None
            running.set()
            removed.wait()
            del recorder.log[:]
            otel_context.detach(token)
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            assert recorder.log == []

    def remove():
        running.wait()
        following.remove()
        removed.set()

    try:
        in_threads(lambda: trio.run(main), remove)
    finally:
        following.install()


@pytest.mark.usefixtures("tracer")
def test_code_after_a_run_in_which_the_hook_was_removed():
    async def main():
        following.remove()

    try:
        trio.run(main)
        assert this_thread().under is None
    finally:
        following.install()


def test_each_run_is_instrumented_once(tracer, now):
    """A second root span in the same run adds no instrument."""

    async def main():
        with tracer.start_as_current_span("A"):
            await trio.lowlevel.checkpoint()
        HOOK.remove()
        HOOK.install()
        with tracer.start_as_current_span("B"):
            await trio.lowlevel.checkpoint()
            assert now() == "B"
        HOOK.remove()
        # trio raises for an unknown instrument.
        with pytest.raises(KeyError):
            trio.lowlevel.remove_instrument(HOOK._steps)

    try:
        trio.run(main)
    finally:
        HOOK.install()
