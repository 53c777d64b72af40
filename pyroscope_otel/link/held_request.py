"""Holds a request open and decides which instrumentation makes its root span.

All adapters share this module.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel.link import failure
from pyroscope_otel.link.attribution import INHERITED, Hold, current_owner
from pyroscope_otel.link.switch import follow_current, note_end
from pyroscope_otel.link.thread_labels import note_event
from pyroscope_otel.link.through_marks import run_as, run_as_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping

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
    outer = held_by(request)
    if outer is not None and not outer.is_closed:
        return None
    hold = None
    try:
        hold = request[_HOLD] = Hold()
        owner = current_owner() if is_traced_outside() else None
        if owner is not None and owner.profile is not None:
            hold.take(owner.profile)
    except Exception:
        failure.report("hold a request's profile")
    return hold


def held_by(request: MutableMapping[str, Any]) -> Hold | None:
    """Return the hold on a request, or None if there is none."""
    hold: Hold | None = request.get(_HOLD)
    return hold


def run_held(hold: Hold, call: Callable[..., Any], /, *arguments: Any) -> Any:
    """Call a function as part of a held request, even if the request's span is not current."""
    token = INHERITED.set(hold)
    note_event()
    try:
        return run_as(hold.if_open(), call, *arguments)
    finally:
        INHERITED.reset(token)
        note_event()
        follow_current()


async def run_held_async(
    hold: Hold, call: Callable[..., Awaitable[Any]], /, *arguments: Any
) -> Any:
    """Call a coroutine function as part of a held request, and await it."""
    token = INHERITED.set(hold)
    note_event()
    try:
        return await run_as_async(hold, call, *arguments)
    finally:
        # Raised if an unfinished coroutine is destroyed, because that happens in another
        # context than the one it ran in.
        with suppress(ValueError):
            INHERITED.reset(token)
        note_event()
        follow_current()


def release(hold: Hold) -> None:
    """Release a request's profile: its response is closed."""
    try:
        hold.close()
        if hold.profile is not None:
            note_end(hold.profile.context)
    except Exception:
        failure.report("release a request's profile")
    note_event()
    follow_current()


def is_traced_outside() -> bool:
    """Return whether an outer instrumentation has made a span for this request.

    A span that the sampler dropped counts. An ended span does not: the previous request on the
    same kept-alive connection left it behind.
    """
    span = trace.get_current_span()
    context = span.get_span_context()
    return context.is_valid and not context.is_remote and getattr(span, "end_time", None) is None


@contextmanager
def no_leftover_span() -> Iterator[None]:
    """Run code without an ended span that an earlier request left current.

    Otherwise an instrumentation would use it as the parent of this request's span and ignore
    the request's own headers.
    """
    span = trace.get_current_span()
    if getattr(span, "end_time", None) is None:
        yield
        return
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
