"""Runs code through the mark of an owner that the caller knows.

A held request, a job on another thread, a greenlet: each is run as somebody's code, whatever
its context says.
"""

from __future__ import annotations

import asyncio
import types
from functools import partial
from typing import TYPE_CHECKING, Any

from pyroscope_otel import failure
from pyroscope_otel.attribution import INHERITED, Guest, current_span_ref
from pyroscope_otel.following import labels_only
from pyroscope_otel.following.switch import (
    NO_PROFILE,
    STATE,
    follow_current,
    mark_beside_label,
    names_owner,
    refresh_after_greenlet_switch,
)
from pyroscope_otel.thread_labels import this_thread

if TYPE_CHECKING:
    import weakref
    from collections.abc import Awaitable, Callable, Generator

    from pyroscope_otel.attribution import Owner
    from pyroscope_otel.marks import Mark
    from pyroscope_otel.thread_labels import Thread


def run_as(owner: Owner | None, call: Callable[..., Any], /, *arguments: Any) -> Any:
    """Call a function as an owner's code, or as nobody's."""
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
    return _run_through(mark, thread, call, *arguments)


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
    """Call a function that works for an owner elsewhere, and maybe longer than that is open.

    Args:
        host: Whose request it works for.
        span: The span that it was begun under.
        call: The function.
        *arguments: Its arguments.
    """
    try:
        guest = Guest(host, span)
        whose = guest.if_open()
    except Exception:
        failure.report("follow a job")
        return call(*arguments)
    token = INHERITED.set(guest)
    try:
        return run_as(whose, call, *arguments)
    finally:
        INHERITED.reset(token)
        guest.leave()


def run_on_new_stack(
    owner: Owner, call: Callable[..., Any], /, *arguments: Any, **named: Any
) -> Any:
    """Call a function as an owner's code, with nothing of ours below it on its stack.

    Args:
        owner: Whose code it is.
        call: The function.
        *arguments: Its arguments.
        **named: Its keyword arguments.
    """
    if STATE.labels_only:
        return call(*arguments, **named)
    if named:
        call = partial(call, **named)
    try:
        # It may be switched to again after the request's end.
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

    Where labels are not read, what is run through the mark is its first step alone: each
    further one is a step of an event loop, in a context that says whose it is (see
    `STATE.async_marks`).
    """
    if STATE.labels_only or asyncio._get_running_loop() is None:  # noqa: SLF001  documented
        # A scheduler that is followed by labels, or not at all.
        follow_current()
        return (yield from _await(call, *arguments))
    try:
        if STATE.async_marks:
            coroutine = owner.mark.run_async(call, *arguments)
            awaited = _run_through(owner.mark, this_thread(), coroutine.send, None)
        else:
            coroutine = _await(call, *arguments)
            awaited = run_as(owner, coroutine.send, None)
        while True:
            try:
                sent = yield awaited
            except GeneratorExit:  # noqa: PERF203  whatever is awaited may raise
                coroutine.close()
                raise
            except BaseException as error:
                awaited = coroutine.throw(error)
            else:
                if sent is None:
                    # Event loops send nothing else. From here on nobody is in between.
                    return (yield from coroutine)
                awaited = coroutine.send(sent)
    except StopIteration as stop:
        return stop.value


async def _await(call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    return await call(*arguments)
