"""The labels that the Pyroscope agent holds for the running OS thread.

Only this module calls the agent's `add_thread_tag` and `remove_thread_tag`. Both change only
the *calling* thread, and the agent knows a thread by an ident that a later thread may reuse. So
this module tracks what each thread carries and removes its labels before it ends.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pyroscope

if TYPE_CHECKING:
    import contextvars
    import weakref

    from pyroscope_otel.link.attribution import Guest, Owner
    from pyroscope_otel.link.marks import Mark


class Labels(NamedTuple):
    """Labels that are put on a thread and taken off together.

    Attributes:
        on: Keys and values, in the order in which they are put on. `span_id` comes last, so
            that a sample taken in between has no link rather than a wrong one.
        off: The same, in the order in which they are taken off.
        under: The mark that the label refers to, if it is ours (`marks.LABEL`).
        owner: The owner of the code under that mark. Its number stays in use while the label
            exists.
        guest: The owner again, if it is a guest made for this label. It leaves with the label.
    """

    on: tuple[tuple[str, str], ...]
    off: tuple[tuple[str, str], ...]
    under: Mark | None = None
    owner: Owner | None = None
    guest: Guest | None = None


Conditions = list[Callable[[], bool]]
"""Conditions for giving a thread labels. If one returns False, the thread gets none."""

conditions: Conditions = []
step_conditions: Conditions = []
"""The conditions that are also checked in steps of followed event loops."""
nobody_conditions: Conditions = []
"""The conditions that are also checked for a label that names no owner. (It attributes nothing,
so that most have no reason to refuse it.)"""


class _Last:
    """What happened last in this process. Each event replaces an attribute by a new object.

    Objects rather than a counter: several threads could set a counter back to an old value.
    """

    __slots__ = ("event", "reset")

    def __init__(self) -> None:
        self.event: object = []
        """Replaced when the labels that a thread should carry may have changed: a span or a
        request ended, or another context became current. (Optimization: an empty list is faster
        to create than a plain object.)"""
        self.reset: object = object()
        """Replaced when threads may have lost their labels."""


last = _Last()


def _unwrapped(function: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    """Return the agent's compiled function behind a public one.

    Optimization: the public functions only pass their arguments on, which takes a tenth of the
    time of an event loop's step (CPython 3.11). If a public function does more than that, it is
    returned itself.
    """
    name = getattr(function, "__name__", "")
    code = getattr(function, "__code__", None)
    if code is None or code.co_names != ("lib", name):
        return function
    compiled: Callable[[str, str], bool] = getattr(pyroscope.lib, name)
    return compiled


add_thread_tag = _unwrapped(pyroscope.add_thread_tag)
remove_thread_tag = _unwrapped(pyroscope.remove_thread_tag)


def _unpatched_thread_module() -> Any:
    """Return the interpreter's own `_thread` module.

    gevent and eventlet replace functions in `_thread` by greenlet versions, but the agent's
    labels belong to OS threads. A second instance of the built-in module, kept out of
    `sys.modules`, has the originals.
    """
    spec = importlib.util.find_spec("_thread")
    if spec is None or spec.loader is None:  # pragma: no cover
        raise ImportError("this Python has no module _thread")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


os_thread = _unpatched_thread_module()
"""The module `_thread` for OS threads, regardless of monkey patching."""
get_ident: Callable[[], int] = os_thread.get_ident
"""Returns the ident of the running OS thread, which is how the agent knows it."""


CHANGING = Labels((), ())
"""Placeholder for a thread's labels while they change."""


class Thread:
    """What one OS thread carries, and which mark its stack has, as far as we know."""

    __slots__ = ("greenlet", "ident", "labels", "outside_loop", "reset", "under")

    def __init__(self) -> None:
        self.ident = get_ident()
        self.labels: Labels | None = None
        self.reset = last.reset
        self.under: Mark | None = None
        """The mark nearest to the leaf of the stack, in the greenlet named below."""
        self.greenlet: weakref.ref[object] | None = None
        self.outside_loop: contextvars.Context | None = None
        """The context outside the running event loop, if the loop cannot restore it itself."""


threads: dict[int, Thread] = {}
"""The record of each live thread, by ident.

A thread-local is not enough: the garbage collector can run while CPython creates a thread's
part of it, and a finaliser that follows a context then would create a second record.
"""

os_thread_local: Callable[[], Any] = os_thread._local  # noqa: SLF001  the public name gets patched
"""Creates a thread-local for OS threads. (`threading.local` may be per greenlet.)"""

_local = os_thread_local()


class _Farewell:
    """Removes a thread's labels when the thread dies.

    Otherwise the next thread with the same ident would inherit them. A thread-local's value is
    destroyed on its own thread, as the last thing there, and only there can the labels be
    removed. Nothing else may refer to this object. (A traceback that someone keeps refers to
    `Thread` through our frames.)
    """

    __slots__ = ("_thread",)

    def __init__(self, thread: Thread) -> None:
        self._thread = thread

    def __del__(self) -> None:
        # Not `failure.report`: logging here would register the thread with `threading` again.
        # At interpreter exit nothing can be reported, and our globals may be gone.
        thread = self._thread
        try:
            try:
                # In a forked child, the values of threads that no longer exist are destroyed on
                # the only remaining thread. The agent must not be called then: a thread that
                # held its lock is gone too.
                is_own = thread.ident == get_ident() and not sys.is_finalizing()
                if is_own and thread.labels is not None:
                    change(thread, None, None, conditions)
            finally:
                # Last, because a finaliser that follows a context meanwhile must find the
                # record.
                del threads[thread.ident]
        except Exception:  # noqa: S110  as above
            pass


def this_thread() -> Thread:
    """Return the record of the running thread."""
    ident = get_ident()
    try:
        return threads[ident]
    except KeyError:
        # Any allocation may run the garbage collector, and a finaliser may call this function
        # again. There must be only one record and one farewell.
        made = Thread()
        thread = threads.setdefault(ident, made)
        if thread is made:
            _local.farewell = _Farewell(thread)
        return thread


def require(
    condition: Callable[[], bool], *, in_steps: bool = True, for_nobody: bool = False
) -> None:
    """Add a condition for giving any thread labels.

    Args:
        condition: Returns whether the running thread may carry labels.
        in_steps: Whether it is also checked in steps of followed event loops.
        for_nobody: Whether it is also checked for a label that names no owner.
    """
    conditions.append(condition)
    if in_steps:
        step_conditions.append(condition)
    if for_nobody:
        nobody_conditions.append(condition)


def require_no_longer(condition: Callable[[], bool]) -> None:
    """Undo `require`."""
    for each in (conditions, step_conditions, nobody_conditions):
        if condition in each:
            each.remove(condition)


def carry(
    thread: Thread,
    labels: Labels | None,
    since: object = None,
    required: Conditions = conditions,
) -> bool:
    """Make the running thread carry exactly these labels.

    Args:
        thread: The running thread.
        labels: The labels, or None for none. Compared by identity: passing the same object
            again costs next to nothing.
        since: The value of `last.event` before the caller decided on these labels.
        required: `conditions`, or `step_conditions` where those are enough.

    Returns:
        Whether the caller must decide again, because something may have changed since: a span
        ended on another thread, or a signal handler or finaliser switched the context.
    """
    if thread.labels is labels and thread.reset is last.reset:
        return False
    return change(thread, labels, since, required)


def change(thread: Thread, labels: Labels | None, since: object, required: Conditions) -> bool:
    """Do the work of `carry` for a thread that does not carry these labels yet."""
    carried = thread.labels
    if carried is CHANGING:
        # This is a re-entrant call on the same thread. The outer call finishes, and its caller
        # decides again if something happened meanwhile.
        return False
    reset = last.reset
    try:
        thread.labels = CHANGING
        # `carried` is the old labels until all are removed, and the new ones before the first
        # is added. An exception in between (from a signal handler) then leaves too much to
        # remove, never too little.
        if carried is not None:
            for key, value in carried[1]:
                remove_thread_tag(key, value)
            carried = None
        if labels is not None and (not required or _all_hold(required)):
            carried = labels
            for key, value in labels[0]:
                if not add_thread_tag(key, value):
                    # No agent is running. Record no labels, so that the next switch tries
                    # again.
                    carried = None
                    break
    finally:
        thread.labels = carried
        thread.reset = reset
    return last.event is not since


def _all_hold(required: Conditions) -> bool:
    for condition in required:  # noqa: SIM110  `all` would create a generator at every switch
        if not condition():
            return False
    return True


def carried() -> Labels | None:
    """Return the labels that the running thread carries."""
    return this_thread().labels


def forget() -> None:
    """Assume that no thread carries its labels any more.

    Call it when an agent was stopped or started. Each thread gets its labels again at its next
    switch.
    """
    last.reset = object()


def note_event() -> None:
    """Make every thread that is deciding on its labels decide again."""
    last.event = []


def agent_is_running() -> bool:
    """Return whether an agent in this process accepts labels."""
    key, value = "pyroscope_otel", "probe"
    if not add_thread_tag(key, value):
        return False
    remove_thread_tag(key, value)
    return True
