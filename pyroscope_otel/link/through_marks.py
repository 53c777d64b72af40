"""Runs code through the mark of an owner that the caller knows.

Used for held requests, jobs on other threads, and greenlets. The code runs as the given
owner's, whatever its context says.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from pyroscope_otel.link import failure, labels_only
from pyroscope_otel.link.attribution import INHERITED, Guest, current_span_ref
from pyroscope_otel.link.state import STATE
from pyroscope_otel.link.switch import (
    NO_PROFILE,
    mark_beside_label,
    names_owner,
    refresh_after_greenlet_switch,
)
from pyroscope_otel.link.thread_labels import this_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroscope_otel.link.attribution import Owner
    from pyroscope_otel.link.marks import Mark


def run_as(owner: Owner | None, call: Callable[..., Any], /, *arguments: Any) -> Any:
    """Call a function as an owner's code, or as code with no owner."""
    thread = this_thread()
    if STATE.labels_only:
        return labels_only.run_as(owner, call, *arguments)
    mark: Mark | None = None
    try:
        if STATE.current_greenlet is not None:
            refresh_after_greenlet_switch(thread, STATE.current_greenlet)
        under = thread.under
        if thread.labels is not None:
            mark = mark_beside_label(thread, owner)
        elif owner is None:
            mark = None if under is None else NO_PROFILE
        elif not names_owner(under, owner):
            mark = owner.mark
    except Exception:
        failure.report("run code through its mark")
    if mark is None:
        return call(*arguments)
    under, greenlet = thread.under, thread.greenlet
    thread.under = mark
    try:
        return mark.run(call, *arguments)
    finally:
        thread.under, thread.greenlet = under, greenlet


def run_as_guest(
    host: Owner, span: weakref.ref[Any] | None, call: Callable[..., Any], /, *arguments: Any
) -> Any:
    """Call a function that works for an owner on another thread and may outlive its request.

    Args:
        host: The owner that the function works for.
        span: The span that the work began under.
        call: The function.
        *arguments: Its arguments.
    """
    try:
        guest = Guest(host, span)
        guest_owner = guest.if_open()
    except Exception:
        failure.report("follow a job")
        return call(*arguments)
    token = INHERITED.set(guest)
    try:
        return run_as(guest_owner, call, *arguments)
    finally:
        INHERITED.reset(token)
        guest.leave()


def run_on_new_stack(
    owner: Owner, call: Callable[..., Any], /, *arguments: Any, **named: Any
) -> Any:
    """Call a function as an owner's code, on a stack that has no mark yet.

    Args:
        owner: The owner of the code.
        call: The function.
        *arguments: Its arguments.
        **named: Its keyword arguments.
    """
    if STATE.labels_only:
        return call(*arguments, **named)
    if named:
        call = partial(call, **named)
    try:
        # The greenlet may be resumed after the request has ended.
        guest = Guest(owner, current_span_ref())
        _note_mark(guest.mark)
    except Exception:
        failure.report("follow a greenlet")
        return call(*arguments)
    try:
        return guest.mark.run(call, *arguments)
    finally:
        guest.leave()


def _note_mark(mark: Mark) -> None:
    """Note that the calling code runs a function through a mark, on a greenlet's new stack.

    The switch to the greenlet may have been followed, when the stack had no mark.
    """
    if STATE.current_greenlet is not None:
        thread = this_thread()
        thread.under = mark
        thread.greenlet = weakref.ref(STATE.current_greenlet())
