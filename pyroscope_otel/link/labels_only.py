"""Direct mode: follows with span labels on the thread, where nothing reads marks.

An agent that started before this package was imported pushes to its server directly, and so
does any agent with ``attribution="thread"``. The agent reads a thread's labels later than its
stack. This is right for turns of 20 ms, and wrong more often the shorter they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroscope_otel.link import failure
from pyroscope_otel.link.attribution import CURRENT, INHERITED, current_owner, owner_in
from pyroscope_otel.link.thread_labels import carry, conditions, last, step_conditions, this_thread

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable

    from pyroscope_otel.link.attribution import Owner
    from pyroscope_otel.link.thread_labels import Conditions, Labels, Thread


def run_in_context(
    context: contextvars.Context | None, call: Callable[..., Any], /, *arguments: Any
) -> Any:
    """See `switch.run_in_context`."""
    if context is not None:
        thread = follow_context(context, step_conditions)
    else:
        thread = follow_current(None, step_conditions)
    try:
        return call(*arguments)
    finally:
        if context is not None:
            follow_current(thread)
        elif thread.outside_loop is not None:
            follow_context(thread.outside_loop)
        elif thread.labels is not None:
            clear_label(thread)


def run_as(owner: Owner | None, call: Callable[..., Any], /, *arguments: Any) -> Any:
    """See `through_marks.run_as`. The caller cleans up the labels afterwards."""
    thread = this_thread()
    try:
        while True:
            since = last.event
            still = None if owner is None else owner.if_open()
            if not carry(thread, _labels(still), since):
                break
    except Exception:
        failure.report("follow a job")
    return call(*arguments)


def follow_current(thread: Thread | None = None, required: Conditions = conditions) -> Thread:
    """See `switch.follow_current`. Returns the running thread."""
    if thread is None:
        thread = this_thread()
    try:
        while True:
            since = last.event
            if CURRENT.get(None) is None and INHERITED.get(None) is None:
                owner = None  # Optimization: nearly always true after a step.
            else:
                owner = current_owner()
            if not carry(thread, _labels(owner), since, required):
                break
    except Exception:
        failure.report("follow the current context")
    return thread


def follow_context(context: contextvars.Context, required: Conditions = conditions) -> Thread:
    """See `switch.follow_context`. Returns the running thread."""
    thread = this_thread()
    try:
        while True:
            since = last.event
            if not carry(thread, _labels(owner_in(context)), since, required):
                break
    except Exception:
        failure.report("follow a context")
    return thread


def clear_label(thread: Thread) -> None:
    """See `switch.clear_label`."""
    carry(thread, None)


def _labels(owner: Owner | None) -> Labels | None:
    return None if owner is None or owner.profile is None else owner.profile.labels
