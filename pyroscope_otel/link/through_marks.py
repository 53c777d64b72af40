"""Runs code through the mark of an owner that the caller knows.

Used for held requests, jobs on other threads, and greenlets. The code runs as the given
owner's, whatever its context says.
"""

from __future__ import annotations

import asyncio
import types
from functools import partial
from typing import TYPE_CHECKING, Any

from pyroscope_otel.link import failure, labels_only
from pyroscope_otel.link.attribution import INHERITED, Guest, current_span_ref
from pyroscope_otel.link.state import STATE
from pyroscope_otel.link.switch import (
    NO_PROFILE,
    follow_current,
    mark_beside_label,
    names_owner,
    refresh_after_greenlet_switch,
)
from pyroscope_otel.link.thread_labels import this_thread

if TYPE_CHECKING:
    import weakref
    from collections.abc import Awaitable, Callable, Generator

    from pyroscope_otel.link.attribution import Owner
    from pyroscope_otel.link.marks import Mark
    from pyroscope_otel.link.thread_labels import Thread


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
    # Optimization: `_run_through`, inlined, which saves a fifth of the time.
    under, greenlet = thread.under, thread.greenlet
    thread.under = mark
    try:
        return mark.run(call, *arguments)
    finally:
        thread.under, thread.greenlet = under, greenlet


def _run_through(mark: Mark, thread: Thread, call: Callable[..., Any], /, *arguments: Any) -> Any:
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
    except Exception:
        failure.report("follow a greenlet")
        return call(*arguments)
    try:
        return guest.mark.run(call, *arguments)
    finally:
        guest.leave()


@types.coroutine
def run_as_async(
    owner: Owner, call: Callable[..., Awaitable[Any]], /, *arguments: Any
) -> Generator[Any, Any, Any]:
    """Call a coroutine function as an owner's code, and await it.

    Where the sampler reads no labels, only the first step runs through the mark. Each later
    step is a step of an event loop, in a context that names the owner (see
    `STATE.async_marks`).
    """
    if STATE.labels_only or asyncio._get_running_loop() is None:  # noqa: SLF001  documented
        # Labels follow this scheduler, or nothing does.
        follow_current()
        return (yield from _await(call, *arguments))
    try:
        if STATE.async_marks:
            STATE.has_async_marks = True
            coroutine = owner.mark.run_async(call, *arguments)
            awaited = _run_through(owner.mark, this_thread(), coroutine.send, None)
        else:
            coroutine = _await(call, *arguments)
            awaited = run_as(owner, coroutine.send, None)
        while True:
            try:
                sent = yield awaited
            except GeneratorExit:  # noqa: PERF203  the awaited object may raise
                coroutine.close()
                raise
            except BaseException as error:
                awaited = coroutine.throw(error)
            else:
                if sent is None:
                    # Event loops only send None. From here on, this function is out of the way.
                    return (yield from coroutine)
                awaited = coroutine.send(sent)
    except StopIteration as stop:
        return stop.value


async def _await(call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    return await call(*arguments)
