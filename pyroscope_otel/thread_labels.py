"""The labels that the Pyroscope agent holds for the running OS thread.

This module alone calls the agent's `add_thread_tag` and `remove_thread_tag`.
Both change the *calling* thread only, and the agent knows a thread by an ident
that the next thread may reuse, so that everything here is about one thread:
what it carries now, and that it takes nothing into its grave.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import pyroscope

Labels = tuple[tuple[str, str], ...]
"""Keys and values in the order in which they are put on a thread: `span_id`
last. It is also the first to go, so that a sample taken in between lacks the
link rather than having a wrong one."""

Conditions = list[Callable[[], bool]]
"""What is asked before a thread is given labels: it stays without where one says no."""

conditions: Conditions = []
step_conditions: Conditions = []
"""Those that hold in a step of an event loop, too, of which that loop has told us."""

latest: object = []
"""Another object after each event that may change what a thread should carry: a
span ended, or the labels of a thread changed. Objects, as a number that several
threads count up may come back to what it was. (Optimization: an empty list is
made faster than a plain object.)"""

_generation = 0


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
_get_ident: Callable[[], int] = os_thread.get_ident


class _Thread:
    """What one OS thread carries, as far as we know."""

    __slots__ = ("busy", "generation", "ident", "labels")

    def __init__(self) -> None:
        self.ident = _get_ident()
        self.labels: Labels | None = None
        self.generation = _generation
        self.busy = False

    def __del__(self) -> None:
        # A thread-local's value dies on its own thread, as the last thing
        # there: the one place from which a dying thread's labels can be
        # removed. The successor with the same ident would inherit them.
        # In a forked child the values of the threads that are no more die on
        # the one that is. The agent must not be called then: whoever held its
        # lock is gone too.
        if self.labels is None or sys.is_finalizing() or self.ident != _get_ident():
            return
        # Not `failure.report`: logging here would enter the thread into
        # `threading` once more. What fails here fails in `carry`, too.
        with contextlib.suppress(Exception):
            for key, value in reversed(self.labels):
                pyroscope.remove_thread_tag(key, value)


os_thread_local: Callable[[], Any] = os_thread._local  # noqa: SLF001  the public name gets patched
"""Makes a thread-local of OS threads. (`threading.local` may be one of greenlets.)"""

_local = os_thread_local()


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


def carry(labels: Labels | None, since: object = None, required: Conditions = conditions) -> bool:
    """Make the running thread carry exactly these labels.

    Args:
        labels: The labels, or None for none. Compared by identity: the same
            tuple again costs next to nothing.
        since: What `latest` was before the caller decided on these labels.
        required: `conditions` or, where they are enough, `step_conditions`.

    Returns:
        Whether to ask again. What the caller decided on may have changed since:
        a span ended on another thread, or a signal handler or a finaliser ran
        in between, at any point, and switched the context itself.
    """
    global latest  # noqa: PLW0603  compared on each switch: a module's global is the cheapest
    try:
        thread = _local.thread
    except AttributeError:
        thread = _local.thread = _Thread()
    if thread.busy:
        # We are inside ourselves, on the same thread: the outer call finishes
        # what it began, then is told to ask again.
        latest = []
        return False
    if thread.labels is labels and thread.generation == _generation:
        return False
    thread.busy = True
    try:
        thread.generation = _generation
        # `thread.labels` names the old labels until all are gone, and the new
        # ones from before the first is there: an exception in between (a signal
        # handler's) leaves too much to remove, never too little.
        if thread.labels is not None:
            for key, value in reversed(thread.labels):
                pyroscope.remove_thread_tag(key, value)
            thread.labels = None
        if labels is not None and (not required or _all_hold(required)):
            thread.labels = labels
            for key, value in labels:
                if not pyroscope.add_thread_tag(key, value):
                    # No agent is running. Believe nothing, so that the next
                    # switch tries again.
                    thread.labels = None
                    break
    finally:
        thread.busy = False
    is_outdated = latest is not since
    # We may be inside a caller that has asked, and not changed anything yet.
    latest = []
    return is_outdated


def _all_hold(required: Conditions) -> bool:
    for condition in required:  # noqa: SIM110  `all` would cost a generator at every switch
        if not condition():
            return False
    return True


def carried() -> Labels | None:
    """Return the labels that the running thread carries."""
    thread = getattr(_local, "thread", None)
    return None if thread is None else thread.labels


def forget() -> None:
    """Believe no longer that any thread carries what was put there.

    For an agent that was stopped or started. Each thread's labels are then put
    there anew at its next switch.
    """
    global _generation  # noqa: PLW0603  as `latest`
    _generation += 1


def span_ended() -> None:
    """Have those who are just deciding on a thread's labels ask again."""
    global latest  # noqa: PLW0603  as in `carry`
    latest = []


def agent_is_running() -> bool:
    """Return whether an agent in this process takes labels."""
    key, value = "pyroscope_otel", "probe"
    if not pyroscope.add_thread_tag(key, value):
        return False
    pyroscope.remove_thread_tag(key, value)
    return True
