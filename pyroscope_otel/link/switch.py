"""What every switch point does: make the stack or the label name the owner of the code.

A switch point that can run the code it switches to runs it through the mark of the code's owner
(`run_in_context`; `through_marks`), unless the stack already names that owner. A switch point
that cannot, or whose context changes in the middle of a function, sets the thread's label
instead (`follow_current`). In nearly all cases both already agree with the rule in
`attribution`, and nothing is done.

No function here raises into the scheduler that calls it. Each repeats its decision while events
may have changed the answer (`thread_labels.change`).
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from pyroscope_otel.link import failure, labels_only
from pyroscope_otel.link.attribution import (
    CURRENT,
    INHERITED,
    SPAN_KEY,
    Guest,
    Hold,
    as_guest,
    current_owner,
    current_span_ref,
    owner_after_end,
    owner_in,
)
from pyroscope_otel.link.marks import LABEL, MARKS, Mark, label_value, nearest_mark
from pyroscope_otel.link.profile import Profile
from pyroscope_otel.link.state import STATE
from pyroscope_otel.link.thread_labels import (
    CHANGING,
    Labels,
    change,
    conditions,
    get_ident,
    last,
    nobody_conditions,
    this_thread,
    threads,
)

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable

    from pyroscope_otel.link.attribution import Owner
    from pyroscope_otel.link.thread_labels import Thread

# Optimization: bound once. Binding them at each call costs 0.03 of the 0.15 µs that following
# takes where nothing changes (CPython 3.11).
current_context = CURRENT.get
current_inherited = INHERITED.get

NO_PROFILE: Final = MARKS.no_profile
UNKNOWN: Final = Mark(0)
"""Stands for a nearest mark that has to be looked up on the stack."""
UNKNOWN.profile = Profile.__new__(Profile)  # A sentinel: no real profile equals it.


# Optimization: the next two functions inline `attribution.current_owner`. The first runs in
# every step of an event loop, and both run for each span.


def run_in_context(  # noqa: C901, PLR0912, PLR0915  inlined to save calls
    context: contextvars.Context | None, call: Callable[..., Any], /, *arguments: Any
) -> Any:
    """Call a function through the mark of a context's owner.

    Args:
        context: The context that the function enters immediately. None means the current
            context, for a step of an event loop that has already entered it.
        call: The function.
        *arguments: Its arguments.
    """
    if STATE.labels_only:
        return labels_only.run_in_context(context, call, *arguments)
    try:
        thread = threads[get_ident()]
    except KeyError:
        thread = this_thread()
    labels = thread.labels
    owner: Owner | None = None
    held: Hold | None = None
    mark: Mark | None = None
    try:
        # Entering the context would be slower, and fails if it is already entered.
        current = current_context(None) if context is None else context.get(CURRENT)
        span: Any = None if current is None else current.get(SPAN_KEY)
        if span is not None:
            try:
                owner = span._pyroscope_owner  # noqa: SLF001  our own attribute
            except AttributeError:
                pass
            else:
                if not span.is_recording():
                    owner = owner_after_end(owner, context)
            if STATE.has_async_marks and (owner.__class__ is not Hold or STATE.has_nested_holds):
                held = _other_hold(context, owner)
                if held is not None and owner is not None and held.profile is owner.profile:
                    # Whether the hold's coroutine is below or not, this mark is the nearest.
                    owner, held = held, None
        elif current is None or current:
            inherited = current_inherited(None) if context is None else context.get(INHERITED)
            if inherited is not None:
                owner = inherited.if_open()
        if STATE.current_greenlet is not None:
            refresh_after_greenlet_switch(thread, STATE.current_greenlet)
        mark = thread.under
        if labels is not None:
            mark = mark_beside_label(thread, owner)
        elif owner is None:
            mark = None if mark is None else NO_PROFILE
        elif mark is owner.mark:
            mark = None
        elif owner.thread_ident == thread.ident:
            mark = owner.mark
        else:
            mark, call, arguments = as_guest(owner, span, call, arguments)
    except Exception:
        failure.report("follow a context")
    under, greenlet = thread.under, thread.greenlet
    try:
        if held is not None:
            return _run_inside_hold(held, owner, thread, context, call, *arguments)
        if mark is None:
            return call(*arguments)
        thread.under = mark
        return mark.run(call, *arguments)
    finally:
        thread.under, thread.greenlet = under, greenlet
        if labels is not None or thread.labels is not None:
            _relabel_after_step(thread, context)


def _other_hold(context: contextvars.Context | None, owner: Owner | None) -> Hold | None:
    """Return the context's open hold, if it is not the owner.

    The hold's mark may then be on the stack, nearer than the owner's.
    """
    inherited = current_inherited(None) if context is None else context.get(INHERITED)
    if not isinstance(inherited, Hold) or inherited.is_closed or inherited is owner:
        return None
    return inherited


def _run_inside_hold(
    held: Hold,
    owner: Owner | None,
    thread: Thread,
    context: contextvars.Context | None,
    call: Callable[..., Any],
    /,
    *arguments: Any,
) -> Any:
    """Call a function as an owner's code, even if a hold's mark is above the owner's."""
    try:
        while True:
            since = last.event
            current = current_owner() if context is None else owner_in(context)
            if not _relabel(thread, held.mark, current, since):
                break
    except Exception:
        failure.report("follow a context")
    # Only the stack itself shows which mark is nearest.
    thread.under = UNKNOWN
    mark = NO_PROFILE if owner is None else owner.mark
    return mark.run(call, *arguments)


def _relabel_after_step(thread: Thread, context: contextvars.Context | None) -> None:
    """Update the thread's label for the code outside of a step."""
    if context is not None:
        follow_current(thread)
    elif thread.outside_loop is not None:
        follow_context(thread.outside_loop)
    else:
        clear_label(thread)


def follow_current(thread: Thread | None = None) -> None:  # noqa: C901, PLR0912  as above
    """Update the thread's label so that it names the owner of the running code.

    Does nothing if the stack already names that owner.

    Args:
        thread: The running thread, if the caller has it.
    """
    if STATE.labels_only:
        labels_only.follow_current(thread)
        return
    if thread is None:
        try:
            thread = threads[get_ident()]
        except KeyError:
            thread = this_thread()
    try:
        while True:
            since = last.event
            owner: Owner | None = None
            context = current_context(None)
            span: Any = None if context is None else context.get(SPAN_KEY)
            if span is not None:
                try:
                    owner = span._pyroscope_owner  # noqa: SLF001  our own attribute
                except AttributeError:
                    pass
                else:
                    if not span.is_recording():
                        owner = owner_after_end(owner, None)
            else:
                # An empty context inherits nothing, except from a hold: instrumentations attach
                # an empty context around a root span without a remote parent.
                inherited = current_inherited(None)
                if inherited is not None and (
                    context is None or context or isinstance(inherited, Hold)
                ):
                    owner = inherited.if_open()
            if STATE.current_greenlet is not None:
                refresh_after_greenlet_switch(thread, STATE.current_greenlet)
            if thread.labels is None:
                under = thread.under
                if under is None:
                    if owner is None:
                        break
                elif owner is None:
                    if under.profile is None:
                        break
                elif under is owner.mark or names_owner(under, owner):
                    break
            if not _relabel(thread, thread.under, owner, since):
                break
    except Exception:
        failure.report("follow the current context")


def is_settled(span: Any) -> bool:
    """Return whether the stack or the label already names the owner of the running code.

    Optimization: nearly always it does, and this check takes half the time of `follow_current`.
    It only knows the usual cases: an open span with an owner, and no span in a held request.

    Args:
        span: The current span, or None.
    """
    try:
        if span is None:
            owner = current_inherited(None)
            if owner.__class__ is not Hold or owner.is_closed:
                return False
        elif span.is_recording():
            owner = span._pyroscope_owner  # noqa: SLF001  our own attribute
        else:
            return False
        thread = threads[get_ident()]
        current_greenlet = STATE.current_greenlet
        if current_greenlet is not None and (
            thread.greenlet is None or thread.greenlet() is not current_greenlet()
        ):
            return False
    except Exception:
        # A span without an owner, of any class, or a thread without a record.
        return False
    labels = thread.labels
    if labels is None:
        return thread.under is owner.mark and not STATE.labels_only
    return labels.owner is owner and labels.under is thread.under and thread.reset is last.reset


def note_end(span_id: int) -> bool:
    """Note on the running thread that a local root span, or the hold on it, has just ended.

    Samples that a guest has taken here so far count. Later ones belong to no profile.

    Returns:
        Whether the thread's stack or label names anything.
    """
    thread = this_thread()
    under, labels = thread.under, thread.labels
    if under is not None and under.guest is not None:
        _end_guest(under.guest, span_id)
    if labels is not None and isinstance(labels.owner, Guest):
        _end_guest(labels.owner, span_id)
    return STATE.labels_only or under is not None or labels is not None


def _end_guest(guest: Guest, span_id: int) -> None:
    is_its_end = guest.profile is not None and guest.profile.span_id == span_id
    if is_its_end and not guest.is_in_time():
        guest.leave(in_time=True)


def clear_label(thread: Thread | None = None) -> None:
    """Remove our label from the running thread, which goes idle.

    Args:
        thread: The running thread, if the caller has it.
    """
    if thread is None:
        thread = this_thread()
    try:
        if STATE.labels_only:
            labels_only.clear_label(thread)
        elif thread.labels is not None:
            _put(thread, None, None)
    except Exception:
        failure.report("leave a context")


def follow_context(context: contextvars.Context) -> None:
    """Update the label for code that is about to run in a context."""
    thread = this_thread()
    if STATE.labels_only:
        labels_only.follow_context(context)
        return
    try:
        while True:
            since = last.event
            if not _relabel(thread, thread.under, owner_in(context), since):
                break
    except Exception:
        failure.report("follow a context")


def names_owner(under: Mark | None, owner: Owner) -> bool:
    """Return whether code under a mark is known to belong to an owner."""
    if under is None or under is owner.mark:
        return under is not None
    # A guest's mark may be too late by now, while the code runs under a span of its own.
    return under.profile is owner.profile is not None and (
        under.guest is None or under.guest.is_in_time()
    )


def refresh_after_greenlet_switch(thread: Thread, current_greenlet: Callable[[], object]) -> None:
    """Look up the nearest mark again if the thread now runs on another greenlet's stack."""
    greenlet = current_greenlet()
    if thread.greenlet is None or thread.greenlet() is not greenlet:
        thread.under = nearest_mark()
        thread.greenlet = weakref.ref(greenlet)


def mark_beside_label(thread: Thread, owner: Owner | None) -> Mark:
    """Return the mark to run code through on a thread that has a label.

    The label describes the code below, under its mark. If the code above ran through the same
    mark, the label would apply to it too, so the label is removed in that case.
    """
    mark = NO_PROFILE if owner is None else owner.mark
    labels = thread.labels
    if labels is not None and labels.under is mark:
        _put(thread, None, None)
    return mark


def _relabel(thread: Thread, under: Mark | None, owner: Owner | None, since: object) -> bool:
    """Set the label that names the owner of code under a mark. Return whether to repeat."""
    labels = thread.labels
    if labels is CHANGING:
        # This is a re-entrant call on the same thread. The outer call finishes, and its caller
        # repeats the decision if something happened meanwhile.
        return False
    if under is UNKNOWN:
        under = nearest_mark()
    if owner is None:
        if under is None or under.profile is None:
            return _put(thread, None, since)
    elif names_owner(under, owner):
        return _put(thread, None, since)
    if labels is not None and labels.under is under and thread.reset is last.reset:
        named = labels.owner
        if named is owner:
            return False
        if labels.guest is not None and owner is not None and labels.guest.still_serves(owner):
            return False
    guest = None
    if owner is not None and owner.thread_ident != thread.ident:
        # This thread may never learn that the request has ended.
        owner = guest = Guest(owner, current_span_ref())
    pairs = ((LABEL, label_value(under, None if owner is None else owner.mark)),)
    # Optimization: takes a third of the time of the named tuple's constructor.
    return _put(thread, tuple.__new__(Labels, (pairs, pairs, under, owner, guest)), since)


def _put(thread: Thread, labels: Labels | None, since: object) -> bool:
    before = thread.labels
    try:
        if before is labels and thread.reset is last.reset:
            return False
        names_nobody = labels is not None and labels.owner is None
        return change(thread, labels, since, nobody_conditions if names_nobody else conditions)
    finally:
        if before is not None and thread.labels is not before and before.guest is not None:
            before.guest.leave()
