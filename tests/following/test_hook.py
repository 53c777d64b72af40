"""The hooks: installed and removed, beside other tools."""

from __future__ import annotations

import asyncio
import contextlib
import functools

import pytest

from pyroscope_otel import following
from pyroscope_otel.following.hook import Hook, Patch
from tests.following.installed import ABSENT, attributes, patched
from tests.support.child import run as run_in_child
from tests.support.event_loops import run

anyio_to_thread = pytest.importorskip("anyio.to_thread")
asgiref = pytest.importorskip("asgiref.sync")
trio = pytest.importorskip("trio")
uvloop = pytest.importorskip("uvloop")

each_attribute = pytest.mark.parametrize(
    ("owner", "name"),
    [
        pytest.param(*each, id=f"{getattr(each[0], '__name__', 'object')}.{each[1]}")
        for each in patched()
    ],
)


@pytest.fixture(autouse=True)
def _all_hooks_back():
    yield
    following.remove()
    following.install()


# Installing and removing


def test_replaced_attributes_are_restored():
    """Scenario 51: each is the same object as before."""
    of = patched()
    assert len(of) > 10
    following.remove()
    before = attributes(of)
    for _ in range(2):
        following.install()
        following.install()
        assert all(a is not b for a, b in zip(attributes(of), before, strict=True))
        following.remove()
        following.remove()
        assert all(a is b for a, b in zip(attributes(of), before, strict=True))


@pytest.mark.parametrize("name", [hook.name for hook in following.HOOKS])
def test_each_hook_is_installed_and_removed_on_its_own(name):
    """Scenario 51: what the others replaced stays."""
    hook = following.named(name)
    if not hook.active:
        pytest.skip("its library is not imported")
    own = [(patch._owner, patch._name) for patch in hook._patches]
    others = [each for each in patched() if each not in own]
    with_all = attributes(others)
    hook.remove()
    assert not hook.active
    without = attributes(own)
    assert all(a is b for a, b in zip(attributes(others), with_all, strict=True))
    following.remove()
    assert all(a is b for a, b in zip(attributes(own), without, strict=True))
    hook.install()
    assert hook.active
    hook.remove()
    assert all(a is b for a, b in zip(attributes(own), without, strict=True))


def active():
    return {hook.name for hook in following.HOOKS if hook.active}


def test_hooks_are_removed_by_name():
    following.install()
    before = active()
    following.remove("PoolJobs", "AnyioJobs")
    assert active() == before - {"PoolJobs", "AnyioJobs"}
    following.install()
    assert active() == before


def test_unknown_name_removes_no_hook():
    following.install()
    before = active()
    known = ", ".join(hook.name for hook in following.HOOKS)
    with pytest.raises(ValueError, match=f"^no hook is called 'PollJobs': there are {known}$"):
        following.remove("PoolJobs", "PollJobs")
    assert active() == before


LATER = """
from pyroscope_otel import following
following.install()
following.remove("UvloopSteps")
import uvloop, trio
print(following.named("UvloopSteps").active, following.named("TrioSteps").active)
following.install()
print(following.named("UvloopSteps").active)
"""


def test_removed_hook_stays_out_when_its_library_is_imported():
    assert run_in_child(LATER) == ["False True", "True"]


@each_attribute
def test_tool_that_patched_before_us(owner, name):
    """Scenario 51: in order, we restore its patch; out of order, ours stays and does nothing."""
    following.remove()
    original = vars(owner).get(name, ABSENT)
    theirs = wrapped(getattr(owner, name))
    setattr(owner, name, theirs)
    following.install()
    assert vars(owner)[name] is not theirs
    following.remove()
    assert vars(owner)[name] is theirs
    restore(owner, name, original)


@each_attribute
def test_tool_that_patched_after_us(owner, name):
    """Scenario 51: removing ours leaves its patch in."""
    following.remove()
    original = vars(owner).get(name, ABSENT)
    following.install()
    ours = getattr(owner, name)
    theirs = wrapped(ours)
    setattr(owner, name, theirs)
    following.remove()
    assert vars(owner)[name] is theirs
    # They restore the function they found: ours, which does nothing.
    setattr(owner, name, ours)
    following.install()
    following.remove()
    assert vars(owner)[name] is ours
    restore(owner, name, original)


def wrapped(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def restore(owner, name, original):
    if original is ABSENT:
        delattr(owner, name)
    else:
        setattr(owner, name, original)


@contextlib.contextmanager
def other_tool_on_top():
    """Let another tool wrap all that we wrap, and be removed last."""
    of = patched()
    following.remove()
    originals = attributes(of)
    following.install()
    for owner, name in of:
        setattr(owner, name, wrapped(getattr(owner, name)))
    try:
        yield
    finally:
        for (owner, name), original in zip(of, originals, strict=True):
            restore(owner, name, original)


def test_removed_wrapper_below_another_tool_does_nothing(tracer, now, recorder):
    """Scenario 51: everything works, and nothing is followed."""
    with other_tool_on_top():
        following.remove()
        assert set(use_everything(tracer, now)) == {None}
        assert recorder.log == []


def test_hooks_installed_again_below_and_above_another_tool(tracer, now):
    """Scenario 51: wrapped twice, they follow as usual."""
    with other_tool_on_top():
        following.remove()
        following.install()
        assert set(use_everything(tracer, now)) == {"A"}
        following.remove()


def test_every_switch_point_is_followed(tracer, now):
    """Without another tool, the cases above come out right."""
    assert set(use_everything(tracer, now)) == {"A"}


def use_everything(tracer, now):
    """Return the labels under a root span A, at every kind of switch point."""
    names = []

    async def steps():
        loop = asyncio.get_running_loop()
        with tracer.start_as_current_span("A", end_on_exit=False):
            for _ in range(3):
                await asyncio.sleep(0)
                names.append(now())
            names.append(await asyncio.to_thread(now))
            names.append(await loop.run_in_executor(None, now))
            names.append(await asyncio.create_task(step()))
            names.append(await asgiref.sync_to_async(now)())
            names.append(await anyio_to_thread.run_sync(now))
            called = asyncio.Event()
            loop.call_later(0, called.set)
            await called.wait()

    async def step():
        return now()

    async def trio_steps():
        with tracer.start_as_current_span("A", end_on_exit=False):
            await trio.lowlevel.checkpoint()
            names.append(now())
            names.append(await trio.to_thread.run_sync(now))

    run(steps)
    run(steps, uvloop.Loop)
    trio.run(trio_steps)
    return names


class Thing:
    def method(self):
        return "class"


class Inheriting(Thing):
    pass


def test_inherited_attribute_is_inherited_again():
    """A class patched over an inherited attribute has none of its own afterwards."""
    patch = Patch(Inheriting, "method", wrapped)
    assert "method" in vars(Inheriting)
    assert Inheriting().method() == "class"
    patch.remove()
    assert "method" not in vars(Inheriting)


def test_hook_is_installed_once():
    """A second `install` or `remove` does nothing."""
    calls = []

    class Counting(Hook):
        module = "builtins"

        def _install(self):
            calls.append("install")

        def _remove(self):
            calls.append("remove")

    hook = Counting()
    hook.remove()
    hook.install()
    hook.install()
    hook.remove()
    hook.remove()
    assert calls == ["install", "remove"]


def test_hook_that_cannot_be_installed_leaves_no_patch():
    """Its library has another version than the hook expects."""

    class Library:
        def first(self):
            return "theirs"

    class Stranger(Hook):
        module = "sys"

        def _install(self):
            self._patch(
                Library, "first", lambda original: lambda self: original(self) + " and ours"
            )
            self._patch(Library, "second", lambda original: original)

    hook = Stranger()
    with pytest.raises(AttributeError):
        hook.install()
    assert not hook.active
    assert Library().first() == "theirs"
    hook.remove()
