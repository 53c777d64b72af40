"""Holds a request open and decides which instrumentation makes its root span.

All adapters share this module.
"""

from __future__ import annotations

import asyncio
import types
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

from pyroscope_otel.link import failure
from pyroscope_otel.link.attribution import (
    INHERITED,
    SPAN_KEY,
    Hold,
    current_owner,
    owner_of_span,
    span_in,
)
from pyroscope_otel.link.state import STATE
from pyroscope_otel.link.switch import (
    UNKNOWN,
    current_context,
    current_inherited,
    follow_current,
    note_end,
)
from pyroscope_otel.link.thread_labels import last, this_thread
from pyroscope_otel.link.through_marks import run_as

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator, MutableMapping
    from contextlib import AbstractContextManager

    from pyroscope_otel.link.marks import Mark

_CONTRIB = "opentelemetry.instrumentation."
_HOLD = "pyroscope_otel.hold"
"""The key of the hold in a request's scope or environ."""


def hold_request(request: MutableMapping[str, Any]) -> Hold | None:
    """Return a hold on the profile of a request that begins.

    If the code already runs inside a local root span, the hold takes that span's profile.
    Otherwise it takes the first profile that starts in the request's context (`run_held`).

    An ended span that the previous request left behind does not count, although its profile may
    be open: that request may still run a background task.

    Args:
        request: The request's ASGI scope or WSGI environ.

    Returns:
        The hold, or None if an outer middleware already holds the request.
    """
    if is_held(request):
        return None
    hold = None
    try:
        hold = request[_HOLD] = Hold()
        if is_traced_outside():
            outer = current_owner()
            if outer is not None and outer.profile is not None:
                hold.take(outer.profile)
        else:
            inherited = current_inherited(None)
            outer = None if inherited is None else inherited.if_open()
        if outer is not None:
            STATE.has_nested_holds = True
    except Exception:
        failure.report("hold a request's profile")
    return hold


def held_by(request: MutableMapping[str, Any]) -> Hold | None:
    """Return the hold on a request, or None if there is none."""
    hold: Hold | None = request.get(_HOLD)
    return hold


def is_held(request: MutableMapping[str, Any]) -> bool:
    """Return whether there is a hold on a request, and the request is still running."""
    hold: Hold | None = request.get(_HOLD)
    return hold is not None and not hold.is_closed


def run_held(hold: Hold, call: Callable[..., Any], /, *arguments: Any) -> Any:
    """Call a function as part of a held request, even if the request's span is not current."""
    before = current_context(None)
    if _has_other_root(before, hold):
        # A generator may have left another root span current between two chunks.
        call, arguments = _run_followed, (call, *arguments)
    token = INHERITED.set(hold)
    last.event = []
    try:
        return run_as(None if hold.is_closed else hold, call, *arguments)
    finally:
        INHERITED.reset(token)
        last.event = []
        # Optimization: where nothing was named and the context is the same, nothing is to do.
        if current_context(None) is not before or _is_named():
            follow_current()


def _has_other_root(context: otel_context.Context | None, hold: Hold) -> bool:
    """Return whether the current span is that of another root than the held request's."""
    try:
        owner = None if context is None else owner_of_span(context.get(SPAN_KEY))
    except Exception:
        # The current span may be of any class.
        failure.report("look at the current span")
        return False
    return owner is not None and owner is not hold


def _run_followed(call: Callable[..., Any], /, *arguments: Any) -> Any:
    follow_current()
    return call(*arguments)


@types.coroutine
def run_held_async(
    hold: Hold, call: Callable[..., Awaitable[Any]], /, *arguments: Any
) -> Generator[Any, Any, Any]:
    """Call a coroutine function as part of a held request, and await it.

    Where the sampler reads no labels, only the first step runs through the mark. Each later
    step is a step of an event loop, in a context that names the hold (see `STATE.async_marks`).
    """
    token = INHERITED.set(hold)
    last.event = []
    try:
        if STATE.labels_only or asyncio._get_running_loop() is None:  # noqa: SLF001  documented
            # Labels follow this scheduler, or nothing does.
            follow_current()
            return (yield from _await(call, *arguments))
        if STATE.async_marks:
            STATE.has_async_marks = True
            coroutine = hold.mark.run_async(call, *arguments)
            thread = this_thread()
            under, greenlet = thread.under, thread.greenlet
            # The coroutine's own frame is the mark.
            thread.under = hold.mark
            try:
                awaited = coroutine.send(None)
            finally:
                thread.under, thread.greenlet = under, greenlet
        else:
            coroutine = _await(call, *arguments)
            awaited = run_as(hold, coroutine.send, None)
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
    finally:
        # Refused if an unfinished coroutine is destroyed, because that happens in another
        # context than the one it ran in.
        with suppress(ValueError):
            INHERITED.reset(token)
        last.event = []
        _doubt(hold.mark)
        follow_current()


def _doubt(mark: Mark) -> None:
    """Look for the nearest mark anew, if it seems to be that of a coroutine which has ended.

    It may have been found on the stack, in the coroutine's own frame, after a switch to another
    greenlet and back. Or another hold's coroutine is nearer now than the step's own frame.
    """
    if STATE.has_async_marks and (STATE.has_nested_holds or STATE.current_greenlet is not None):
        thread = this_thread()
        if thread.under is mark:
            thread.under = UNKNOWN


async def _await(call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    return await call(*arguments)


def release(hold: Hold) -> None:
    """Release a request's profile: its response is closed."""
    try:
        hold.close()
        if hold.profile is not None:
            note_end(hold.profile.span_id)
    except Exception:
        failure.report("release a request's profile")
    last.event = []
    if _is_named():
        follow_current()


def _is_named() -> bool:
    """Return whether the stack or the label of the running code may name anything.

    Optimization: a server's own thread has neither, so there is nothing to correct there. Where
    greenlets run, only `follow_current` knows whose stack this is.
    """
    thread = this_thread()
    return (
        thread.under is not None or thread.labels is not None or STATE.current_greenlet is not None
    )


def is_traced_outside() -> bool:
    """Return whether an outer instrumentation has made a span for this request.

    A span that the sampler dropped counts. An ended span does not: the previous request on the
    same kept-alive connection left it behind.
    """
    span = span_in(None)
    if span is None:
        return False
    context = span.get_span_context()
    return context.is_valid and not context.is_remote and getattr(span, "end_time", None) is None


def no_leftover_span() -> AbstractContextManager[None]:
    """Run code without an ended span that an earlier request left current.

    Otherwise an instrumentation would use it as the parent of this request's span and ignore
    the request's own headers.
    """
    if getattr(span_in(None), "end_time", None) is None:
        return _NO_CHANGE
    return _without_current_span()


_NO_CHANGE: Final = nullcontext()


@contextmanager
def _without_current_span() -> Iterator[None]:
    # Not an empty context: in one, nothing belongs to the held request.
    token = otel_context.attach(otel_context.set_value(_HOLD, True, otel_context.Context()))  # noqa: FBT003
    try:
        yield
    finally:
        otel_context.detach(token)


def is_contrib(app: Any) -> bool:
    """Return whether an OpenTelemetry instrumentation wraps or has marked an application.

    Contrib instrumentations wrap the application in their own class or function, or set
    `_is_instrumented_by_opentelemetry` on it.
    """
    module = getattr(app, "__module__", None) or type(app).__module__
    owner = getattr(app, "__self__", app)
    return (
        str(module).startswith(_CONTRIB)
        or type(app).__module__.startswith(_CONTRIB)
        or bool(getattr(owner, "_is_instrumented_by_opentelemetry", False))
    )
