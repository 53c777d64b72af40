"""The labels that the Pyroscope agent holds for the running OS thread.

This module alone calls the agent's `add_thread_tag` and `remove_thread_tag`.
Both change the *calling* thread only, and the agent knows a thread by an ident
that the next thread may reuse, so that everything here is about one thread:
what it carries now, and that it takes nothing into its grave.
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

    from pyroscope_otel.attribution import Guest, Owner
    from pyroscope_otel.marks import Mark


class Labels(NamedTuple):
    """What is put on a thread and taken off again, as one.

    Attributes:
        on: Keys and values in the order in which they are put on. `span_id` comes last, so
            that a sample taken in between lacks the link rather than having a wrong one.
        off: The same, in the order in which they are taken off.
        under: The mark that the label speaks of, if it is ours (`marks.LABEL`).
        owner: Whose the code under that mark is. Its number is not free before the label
            is gone.
        guest: The same, if it was made for this label, and leaves with it.
    """

    on: tuple[tuple[str, str], ...]
    off: tuple[tuple[str, str], ...]
    under: Mark | None = None
    owner: Owner | None = None
    guest: Guest | None = None


Conditions = list[Callable[[], bool]]
"""What is asked before a thread is given labels: it stays without where one says no."""

conditions: Conditions = []
step_conditions: Conditions = []
"""Those that hold in a step of an event loop, too, of which that loop has told us."""


class _Last:
    """What happened last in this process. Each is another object after each time.

    Objects, as a number that several threads count up may come back to what it was.
    """

    __slots__ = ("event", "reset")

    def __init__(self) -> None:
        self.event: object = []
        """Of the events that may change what a thread should carry: a span or a
        request ended, or another context became current. (Optimization: an empty
        list is made faster than a plain object.)"""
        self.reset: object = object()
        """Of those that may have cost the threads their labels."""


last = _Last()


def _unwrapped(function: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    """Return the compiled function of the agent that a public one calls.

    Optimization: the public ones only pass their arguments on, and that is a tenth
    of what a step of an event loop costs (CPython 3.11). Where one does more than
    that, it is what we call.
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
    """Return the module `_thread` as the interpreter has it.

    gevent and eventlet replace the functions of `_thread` by ones for
    greenlets, and the agent's labels belong to OS threads. A second instance of
    the built-in module, which does not go into `sys.modules`, has the originals.
    """
    spec = importlib.util.find_spec("_thread")
    if spec is None or spec.loader is None:  # pragma: no cover
        raise ImportError("this Python has no module _thread")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


os_thread = _unpatched_thread_module()
"""The module `_thread`, of OS threads whatever has been patched."""
get_ident: Callable[[], int] = os_thread.get_ident
"""Returns the ident of the running OS thread, by which the agent knows it."""


CHANGING = Labels((), ())
"""In place of a thread's labels while they change."""


class Thread:
    """What one OS thread carries, and what its stack says, as far as we know."""

    __slots__ = ("greenlet", "ident", "labels", "outside_loop", "reset", "under")

    def __init__(self) -> None:
        self.ident = get_ident()
        self.labels: Labels | None = None
        self.reset = last.reset
        self.under: Mark | None = None
        """The mark nearest to the leaf of its stack: of the greenlet's that is named."""
        self.greenlet: weakref.ref[object] | None = None
        self.outside_loop: contextvars.Context | None = None
        """What is outside the event loop that runs, where the loop cannot tell."""


threads: dict[int, Thread] = {}
"""By ident, as in the agent, until the thread dies. (A thread-local would do, were it not
that the garbage collector can run while CPython makes a thread's part of it: a finaliser
that follows there got a second record of the same thread.)"""

os_thread_local: Callable[[], Any] = os_thread._local  # noqa: SLF001  the public name gets patched
"""Makes a thread-local of OS threads. (`threading.local` may be one of greenlets.)"""

_local = os_thread_local()


class _Farewell:
    """Removes a thread's labels when the thread dies.

    The labels would be the successor's with the same ident. A thread-local's value
    dies on its own thread, as the last thing there: the one place from which they
    can be removed. It must be referred to from nowhere else. (A traceback that
    somebody keeps refers to `Thread`, as frames of ours do.)
    """

    __slots__ = ("_thread",)

    def __init__(self, thread: Thread) -> None:
        self._thread = thread

    def __del__(self) -> None:
        # Not `failure.report`: logging here would enter the thread into
        # `threading` once more. At the interpreter's end there is nobody to report
        # to, and our own globals may be gone.
        thread = self._thread
        try:
            try:
                # In a forked child the values of the threads that are no more die on
                # the one that is. The agent must not be called then: whoever held its
                # lock is gone too.
                is_own = thread.ident == get_ident() and not sys.is_finalizing()
                if is_own and thread.labels is not None:
                    change(thread, None, None, conditions)
            finally:
                # Not before: a finaliser that follows meanwhile must find it.
                del threads[thread.ident]
        except Exception:  # noqa: S110  as above
            pass


def this_thread() -> Thread:
    """Return what the running thread carries."""
    ident = get_ident()
    try:
        return threads[ident]
    except KeyError:
        # The garbage collector may run where anything is made, and a finaliser may
        # bring us here once more: there must be one record, and one farewell.
        made = Thread()
        thread = threads.setdefault(ident, made)
        if thread is made:
            _local.farewell = _Farewell(thread)
        return thread


def require(condition: Callable[[], bool], *, in_steps: bool = True) -> None:
    """Ask a condition before any thread is given labels.

    Args:
        condition: Says whether the running thread may carry labels.
        in_steps: Whether it is asked in steps of followed event loops as well.
    """
    conditions.append(condition)
    if in_steps:
        step_conditions.append(condition)


def require_no_longer(condition: Callable[[], bool]) -> None:
    """Undo `require`."""
    conditions.remove(condition)
    if condition in step_conditions:
        step_conditions.remove(condition)


def carry(
    thread: Thread,
    labels: Labels | None,
    since: object = None,
    required: Conditions = conditions,
) -> bool:
    """Make the running thread carry exactly these labels.

    Args:
        thread: The running thread.
        labels: The labels, or None for none. Compared by identity: the same
            object again costs next to nothing.
        since: What `last.event` was before the caller decided on these labels.
        required: `conditions` or, where they are enough, `step_conditions`.

    Returns:
        Whether to ask again. What the caller decided on may have changed since:
        a span ended on another thread, or a signal handler or a finaliser ran
        in between, at any point, and switched the context itself.
    """
    if thread.labels is labels and thread.reset is last.reset:
        return False
    return change(thread, labels, since, required)


def change(thread: Thread, labels: Labels | None, since: object, required: Conditions) -> bool:
    """Do what `carry` does where the running thread does not carry these labels."""
    carried = thread.labels
    if carried is CHANGING:
        # We are inside ourselves, on the same thread. The outer call finishes what
        # it began, and its caller asks again if something happened meanwhile.
        return False
    reset = last.reset
    try:
        thread.labels = CHANGING
        # `carried` names the old labels until all are gone, and the new ones from
        # before the first is there: an exception in between (a signal handler's)
        # leaves too much to remove, never too little.
        if carried is not None:
            for key, value in carried[1]:
                remove_thread_tag(key, value)
            carried = None
        if labels is not None and (not required or _all_hold(required)):
            carried = labels
            for key, value in labels[0]:
                if not add_thread_tag(key, value):
                    # No agent is running. Believe nothing, so that the next
                    # switch tries again.
                    carried = None
                    break
    finally:
        thread.labels = carried
        thread.reset = reset
    return last.event is not since


def _all_hold(required: Conditions) -> bool:
    for condition in required:  # noqa: SIM110  `all` would cost a generator at every switch
        if not condition():
            return False
    return True


def carried() -> Labels | None:
    """Return the labels that the running thread carries."""
    return this_thread().labels


def forget() -> None:
    """Believe no longer that any thread carries what was put there.

    For an agent that was stopped or started. Each thread's labels are then put
    there anew at its next switch.
    """
    last.reset = object()


def note_event() -> None:
    """Have those who are just deciding on a thread's labels ask again."""
    last.event = []


def agent_is_running() -> bool:
    """Return whether an agent in this process takes labels."""
    key, value = "pyroscope_otel", "probe"
    if not add_thread_tag(key, value):
        return False
    remove_thread_tag(key, value)
    return True
