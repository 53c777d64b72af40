"""The hooks themselves: put in, taken out, beside other tools, and each of them needed."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import importlib.util
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from event_loops import run
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from threads import in_threads

from pyroscope_otel import following, thread_labels
from pyroscope_otel.following.hook import Hook, Patch

anyio = pytest.importorskip("anyio")
greenlet = pytest.importorskip("greenlet")
anyio_to_thread = pytest.importorskip("anyio.to_thread")
asgiref = pytest.importorskip("asgiref.sync")
trio = pytest.importorskip("trio")
uvloop = pytest.importorskip("uvloop")

ABSENT = object()


def hook_of(name):
    (hook,) = (hook for hook in following.HOOKS if type(hook).__name__ == name)
    return hook


def patched():
    """Return the attributes that the hooks replace: owner and name of each."""
    following.install()
    return [(patch._owner, patch._name) for hook in following.HOOKS for patch in hook._patches]


def patch_of(hook, name):
    """Return the patch whose full name ends so."""

    def full_name(patch):
        return f"{getattr(patch._owner, '__name__', 'object')}.{patch._name}"

    (patch,) = (patch for patch in hook._patches if full_name(patch).endswith("." + name))
    return patch


def attributes(of):
    return [vars(owner).get(name, ABSENT) for owner, name in of]


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


# Putting in and taking out


def test_what_is_replaced_is_put_back():
    """Scenario 51: each attribute, by identity."""
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


@pytest.mark.parametrize("name", [type(hook).__name__ for hook in following.HOOKS])
def test_each_hook_is_put_in_and_taken_out_on_its_own(name):
    """Scenario 51: what the others replaced stays."""
    hook = hook_of(name)
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


@each_attribute
def test_another_tool_before_us(owner, name):
    """Scenario 51: in order, theirs is what we put back; out of order, ours stays inert."""
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
def test_another_tool_after_us(owner, name):
    """Scenario 51: taking ours out leaves theirs in."""
    following.remove()
    original = vars(owner).get(name, ABSENT)
    following.install()
    ours = getattr(owner, name)
    theirs = wrapped(ours)
    setattr(owner, name, theirs)
    following.remove()
    assert vars(owner)[name] is theirs
    # They put back what they found, which is ours and inert.
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
    """Have another tool wrap all that we wrap, and be the last to go."""
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


def test_an_inert_wrapper_does_nothing(tracer, now, recorder):
    """Scenario 51: taken out below another tool's, everything works and nothing is followed."""
    with other_tool_on_top():
        following.remove()
        assert set(use_everything(tracer, now)) == {None}
        assert recorder.log == []


def test_put_in_again_below_and_above_another_tool(tracer, now):
    """Scenario 51: wrapped twice, it follows as ever."""
    with other_tool_on_top():
        following.remove()
        following.install()
        assert set(use_everything(tracer, now)) == {"A"}
        following.remove()


def test_everything_is_followed(tracer, now):
    """What the two cases above do comes out right."""
    assert set(use_everything(tracer, now)) == {"A"}


def use_everything(tracer, now):
    """Return what is carried in a root A, at every kind of switch point."""
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


def test_an_inherited_attribute_is_inherited_again():
    """A class that is patched over what it inherits has nothing of its own afterwards."""
    patch = Patch(Inheriting, "method", wrapped)
    assert "method" in vars(Inheriting)
    assert Inheriting().method() == "class"
    patch.remove()
    assert "method" not in vars(Inheriting)


def test_a_hook_is_put_in_once():
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


# Each hook is needed: without it, its miniature comes out wrong


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
    """Make a miniature of a callback that a root registers while another is current."""

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


def pool_job(tracer, now):
    with ThreadPoolExecutor(1) as pool, new_root(tracer, "A"):
        return pool.submit(now).result() == "A"


def asgiref_job(tracer, now):
    async def main():
        with new_root(tracer, "inner"):
            return await asgiref.sync_to_async(now)() == "inner"

    with new_root(tracer, "outer"):
        return asgiref.async_to_sync(main)()


def anyio_job(tracer, now):
    async def main():
        with new_root(tracer, "A"):
            return await anyio_to_thread.run_sync(now) == "A"

    return anyio.run(main)


def trio_job(tracer, now):
    async def main():
        with new_root(tracer, "A"):
            return await trio.to_thread.run_sync(now) == "A"

    return trio.run(main)


def trio_job_back(tracer, now):
    seen = []

    def job():
        with new_root(tracer, "B"):
            trio.from_thread.run_sync(lambda: seen.append(now()))

    async def main():
        with new_root(tracer, "A"):
            await trio.to_thread.run_sync(job)

    trio.run(main)
    return seen == ["B"]


async def trio_from_outside(tracer, now, seen):
    """Start a task in another thread's context, where nothing else gets labels."""
    token = trio.lowlevel.current_trio_token()

    async def step():
        seen.append(now())

    def other_thread():
        with new_root(tracer, "A"):
            trio.from_thread.run(step, trio_token=token)

    await trio.to_thread.run_sync(in_threads, other_thread)


def trio_inside(tracer, now):
    seen = []
    trio.run(trio_from_outside, tracer, now, seen)
    return seen == ["A"]


def trio_guest(tracer, now):
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        finished = loop.create_future()
        trio.lowlevel.start_guest_run(
            trio_from_outside,
            tracer,
            now,
            seen,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=finished.set_result,
        )
        (await finished).unwrap()

    run(main)
    return seen == ["A"]


def trio_in_turn(tracer, now):
    right = []

    async def request(name):
        with new_root(tracer, name):
            for _ in range(5):
                await trio.lowlevel.checkpoint()
                right.append(now() == name)

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request, "A")
            nursery.start_soon(request, "B")

    trio.run(main)
    return all(right)


def attached(tracer, now):
    span = tracer.start_span("A")
    otel_context.attach(trace.set_span_in_context(span))
    right = now() == "A"
    span.end()
    return right


def detached(tracer, now):
    token = otel_context.attach(trace.set_span_in_context(tracer.start_span("A")))
    otel_context.detach(token)
    return now() is None


def renamed(tracer, now):
    with new_root(tracer, "A") as span:
        span.update_name("B")
        return now() == "B"


def restarted(_, now):
    """Return whether labels are believed gone when the application stops the agent."""
    import pyroscope

    reset = thread_labels.last.reset
    # No agent is running: it has nothing to stop, and says so.
    pyroscope.shutdown()
    assert now() is None
    return thread_labels.last.reset is not reset


def greenlets_in_turn(tracer, now):
    right = []

    def request(name):
        with new_root(tracer, name):
            greenlet.getcurrent().parent.switch()
            right.append(now() == name)

    first, second = greenlet.greenlet(request), greenlet.greenlet(request)
    first.switch("A")
    right.append(now() is None)
    second.switch("B")
    first.switch()
    second.switch()
    return all(right)


def on_a_reactors_thread(tracer, now):
    from twisted.python import threadable

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


SELECTOR = asyncio.SelectorEventLoop
MINIATURES = [
    ("AgentRestarts", "shutdown", restarted),
    ("ContextSwitches", "attach", attached),
    ("ContextSwitches", "detach", detached),
    ("Renames", "update_name", renamed),
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
    ("PoolJobs", "submit", pool_job),
    ("AsgirefJobs", "submit", asgiref_job),
    ("AnyioJobs", "run_sync", anyio_job),
    ("TrioSteps", None, trio_in_turn),
    ("TrioSteps", "run", trio_inside),
    ("TrioSteps", "start_guest_run", trio_guest),
    ("TrioJobs", "to_thread.run_sync", trio_job),
    ("TrioJobs", "from_thread.run_sync", trio_job_back),
    ("Greenlets", None, greenlets_in_turn),
]
if importlib.util.find_spec("twisted") is not None:
    importlib.import_module("twisted.python.threadable")
    MINIATURES += [("TwistedReactor", None, on_a_reactors_thread)]
if sys.version_info >= (3, 12):
    MINIATURES += [
        ("AsyncioSteps", "create_task", eager(SELECTOR)),
        ("UvloopSteps", "create_task", eager(uvloop.Loop)),
    ]

each_miniature = pytest.mark.parametrize(
    ("hook", "name", "miniature"),
    [
        pytest.param(*each, id=f"{number}-{each[0]}-{each[1]}")
        for number, each in enumerate(MINIATURES)
    ],
)


@pytest.fixture
def outcome(tracer, now):
    """Run a miniature, which may leave labels behind: that is what it is for."""

    def outcome(miniature):
        # Signals need the main thread, so the rest of the clearing up is by hand.
        right = contextvars.Context().run(miniature, tracer, now)
        thread_labels.carry(thread_labels.this_thread(), None)
        return right

    return outcome


@each_miniature
def test_with_its_hook_a_miniature_is_right(hook, name, miniature, outcome):
    assert hook_of(hook).active
    assert outcome(miniature)
    if name is not None:
        patch_of(hook_of(hook), name)


@each_miniature
def test_without_its_hook_a_miniature_is_wrong(hook, name, miniature, outcome):
    """Disable one hook, or one method of it: the miniature notices."""
    hook = hook_of(hook)
    if name is None:
        hook.remove()
    else:
        patch_of(hook, name).remove()
    assert not outcome(miniature)


def test_every_replaced_attribute_has_a_miniature():
    """Also of a hook that is yet to come."""
    with_one = {patch_of(hook_of(hook), name) for hook, name, _ in MINIATURES if name is not None}
    without = {patch for hook in following.HOOKS for patch in hook._patches} - with_one
    # It is wrapped by the same function as `shutdown`.
    assert {patch._name for patch in without} == {"configure"}
    active = {type(hook).__name__ for hook in following.HOOKS if hook.active}
    assert active == {hook for hook, _, _ in MINIATURES}


def test_a_hook_that_cannot_be_installed_is_out():
    """A library of another version than the hook expects: nothing half done stays."""

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
