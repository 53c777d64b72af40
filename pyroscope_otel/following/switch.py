"""The act of following: what every switch point does.

None of these raises into the scheduler that calls it, and each asks again for
as long as the answer may have changed while the labels did (`carry`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroscope_otel import failure
from pyroscope_otel.attribution import CURRENT, INHERITED, SPAN_KEY
from pyroscope_otel.thread_labels import (
    carry,
    change,
    conditions,
    get_ident,
    last,
    step_conditions,
    this_thread,
    threads,
)

if TYPE_CHECKING:
    import contextvars

    from pyroscope_otel.attribution import Inherited
    from pyroscope_otel.profile import Profile
    from pyroscope_otel.thread_labels import Conditions, Labels, Thread

# Optimization: bound once. As methods of an imported name they would be bound at each
# call, for 0.03 of the 0.15 µs that following takes where nothing changes (CPython 3.11).
current_context = CURRENT.get
current_inherited = INHERITED.get


# Optimization: the next two have the rule of `attribution.current_profile` in them, and
# look for themselves whether there is anything to change. One of each runs in every step
# of an event loop. Together with knowing the thread from the first to the second, it
# saves a quarter of a step outside of any request (CPython 3.11).


def follow_current(  # noqa: C901  calls are what it saves
    thread: Thread | None = None, required: Conditions = conditions
) -> Thread:
    """Make the thread's labels those of the current context.

    Args:
        thread: The running thread, if the caller knows it.
        required: `step_conditions` in a step of a followed event loop.

    Returns:
        The running thread.
    """
    if thread is None:
        try:
            thread = threads[get_ident()]
        except KeyError:
            thread = this_thread()
    try:
        while True:
            since = last.event
            labels: Labels | None = None
            context = current_context(None)
            span: Any = None if context is None else context.get(SPAN_KEY)
            if span is not None:
                try:
                    profile: Profile = span._pyroscope_profile  # noqa: SLF001  our own attribute
                except AttributeError:
                    pass
                else:
                    if span.is_recording() or profile.is_open():
                        labels = profile.labels
            elif context is None or context:
                inherited = current_inherited(None)
                if inherited is not None:
                    labels = inherited.labels()
            if thread.labels is labels and thread.reset is last.reset:
                break
            if not change(thread, labels, since, required):
                break
    except Exception:
        failure.report("follow the current context")
    return thread


def follow_context(  # noqa: C901  as above
    execution_context: contextvars.Context,
) -> Thread:
    """Make the thread's labels those of a context that a followed loop is about to enter.

    Returns:
        The running thread.
    """
    try:
        thread = threads[get_ident()]
    except KeyError:
        thread = this_thread()
    # Entering the context to ask would be dearer, and impossible where it is entered already.
    try:
        while True:
            since = last.event
            labels: Labels | None = None
            context = execution_context.get(CURRENT)
            span: Any = None if context is None else context.get(SPAN_KEY)
            if span is not None:
                try:
                    profile: Profile = span._pyroscope_profile  # noqa: SLF001  our own attribute
                except AttributeError:
                    pass
                else:
                    if span.is_recording() or profile.is_open():
                        labels = profile.labels
            elif context is None or context:
                inherited = execution_context.get(INHERITED)
                if inherited is not None:
                    labels = inherited.labels()
            if thread.labels is labels and thread.reset is last.reset:
                break
            if not change(thread, labels, since, step_conditions):
                break
    except Exception:
        failure.report("follow a context")
    return thread


def follow(inherited: Inherited) -> Thread:
    """Make the thread's labels those of what a job inherits.

    Returns:
        The running thread.
    """
    thread = this_thread()
    try:
        while True:
            since = last.event
            if not carry(thread, inherited.labels(), since):
                break
    except Exception:
        failure.report("follow a job")
    return thread


def follow_nothing(thread: Thread | None = None) -> None:
    """Take the labels off the thread.

    Args:
        thread: The running thread, if the caller knows it.
    """
    try:
        if thread is None:
            thread = this_thread()
        carry(thread, None)
    except Exception:
        failure.report("leave a context")
