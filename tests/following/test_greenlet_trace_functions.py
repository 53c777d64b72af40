"""Our trace function for greenlets, installed and removed, beside those of other tools."""

from __future__ import annotations

import threading

import greenlet
import pytest
from opentelemetry import context as otel_context

from pyroscope_otel import following
from pyroscope_otel.following.greenlets import Greenlets
from tests.following.greenlet_switches import new_greenlet, switches

pytestmark = pytest.mark.usefixtures("no_trace_function")


def test_earlier_tool_still_gets_every_switch(tracer, now):
    """Scenario 51."""

    def tool(event, args):
        events.append((event, args))

    events = []
    greenlet.settrace(tool)
    assert all(switches(tracer, now))
    assert [event for event, _ in events] == ["switch"] * 4
    assert greenlet.gettrace() is not tool


def test_tool_that_replaces_ours_and_calls_it(tracer, now):
    """Scenario 51: each follows a switch at most once."""

    def tool(event, args):
        events.append(event)
        ours(event, args)

    events = []
    assert all(switches(tracer, now))
    ours = greenlet.gettrace()
    greenlet.settrace(tool)
    assert all(switches(tracer, now))
    assert events == ["switch"] * 4


def test_tool_that_replaces_ours_and_does_not_call_it(tracer, now):
    """Scenario 45: ours is back from the next labels on."""

    def tool(event, _args):
        events.append(event)

    events = []
    assert all(switches(tracer, now))
    ours = greenlet.gettrace()
    greenlet.settrace(tool)
    assert greenlet.gettrace() is not ours
    assert all(switches(tracer, now))
    assert events == ["switch"] * 4


def test_tool_that_replaces_ours_inside_a_root(tracer, now):
    """The root span's labels stay until the next switch that we see."""
    with tracer.start_as_current_span("root"):
        greenlet.settrace(None)
        seen = []
        new_greenlet(lambda: seen.append(now())).switch()
        assert seen == ["root"]
        with tracer.start_as_current_span("other", otel_context.Context()):
            new_greenlet(lambda: seen.append(now())).switch()
        assert seen == ["root", None]
        assert now() == "root"


def test_tool_that_is_installed_and_removed_many_times(tracer, now):
    """Scenario 51: it restores ours, and no chain of trace functions grows."""

    def tool(_event, _args):
        pass

    assert all(switches(tracer, now))
    for _ in range(2_000):
        previous = greenlet.settrace(tool)
        # Ours is installed again in the meantime.
        with tracer.start_as_current_span("root"):
            pass
        greenlet.settrace(previous)
        with tracer.start_as_current_span("root"):
            pass
    assert all(switches(tracer, now))
    length = 0
    ours = greenlet.gettrace()
    while ours is not None:
        length += 1
        ours = getattr(ours, "_previous", None)
    assert length <= 3


def test_tool_that_raises(tracer, now):
    """Its trace function is removed, and ours with it. Ours is back with the next labels."""

    def tool(_event, _args):
        greenlet.settrace(None)
        raise LookupError

    greenlet.settrace(tool)
    made = new_greenlet(now)
    with tracer.start_as_current_span("root"):
        with pytest.raises(LookupError):
            made.switch()
        # Missing, not wrong: we did not see the switch back.
        assert now() is None
        with tracer.start_as_current_span("child"):
            assert now() == "root"
    assert all(switches(tracer, now))
    assert now() is None


@pytest.mark.usefixtures("removed")
def test_hook_is_removed_completely(tracer, now):
    """Scenario 51."""

    def tool(_event, _args):
        pass

    greenlet.settrace(tool)
    following.install()
    assert all(switches(tracer, now))
    assert greenlet.gettrace() is not tool
    following.remove()
    assert greenlet.gettrace() is tool
    hook = Greenlets()
    hook.install()
    hook.remove()
    assert greenlet.gettrace() is tool


@pytest.mark.usefixtures("removed")
def test_hook_installed_inside_a_root(tracer, now):
    """The thread already has its labels. It gets its trace function all the same."""

    def serve():
        seen.append(now())

    seen = []
    following.install()
    greenlets = following.named("Greenlets")
    greenlets.remove()
    with tracer.start_as_current_span("root"):
        assert greenlet.gettrace() is None
        greenlets.install()
        with tracer.start_as_current_span("child"):
            new_greenlet(serve).switch()
            assert now() == "root"
    assert seen == [None]


@pytest.mark.usefixtures("removed")
def test_hook_removed_on_another_thread(tracer, now):
    """Scenario 51: each thread's trace function removes itself at its next switch."""

    def thread():
        assert all(switches(tracer, now))
        traced.append(greenlet.gettrace())
        installed.set()
        taken_out.wait()
        new_greenlet(int).switch()
        traced.append(greenlet.gettrace())

    following.install()
    traced, installed, taken_out = [], threading.Event(), threading.Event()
    started = threading.Thread(target=thread, daemon=True)
    started.start()
    installed.wait()
    following.remove()
    taken_out.set()
    started.join()
    assert traced[0] is not None
    assert traced[1] is None


@pytest.mark.usefixtures("removed")
def test_tool_over_ours_when_the_hook_is_removed(tracer, now):
    """Scenario 51: the tool stays, and ours, which it calls, does nothing."""

    def tool(event, args):
        events.append(event)
        ours(event, args)

    events = []
    following.install()
    assert all(switches(tracer, now))
    ours = greenlet.gettrace()
    greenlet.settrace(tool)
    following.remove()
    assert greenlet.gettrace() is tool
    seen = []
    new_greenlet(lambda: seen.append(now())).switch()
    assert seen == [None]
    assert events == ["switch"] * 2
    assert greenlet.gettrace() is tool
