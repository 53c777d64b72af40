"""Follows asyncio's own event loop: a callback or a task's step."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from pyroscope_otel import thread_labels
from pyroscope_otel.following.hook import Hook
from pyroscope_otel.following.switch import follow_context, follow_current

if TYPE_CHECKING:
    from collections.abc import Callable

followed_loops: set[type[asyncio.AbstractEventLoop]] = set()
"""Classes of event loops whose steps are followed, subclasses included."""

_is_followed: dict[type[asyncio.AbstractEventLoop], bool] = {}


def running_loop_is_followed() -> bool:
    """Return False inside an event loop whose steps nobody tells us of.

    A task there could take labels, and could not lose them when it is suspended.
    """
    loop = asyncio._get_running_loop()  # noqa: SLF001  documented for implementers
    if loop is None:
        return True
    kind = type(loop)
    try:
        return _is_followed[kind]
    except KeyError:
        followed = _is_followed[kind] = issubclass(kind, tuple(followed_loops))
        return followed


thread_labels.require(running_loop_is_followed, in_steps=False)


def follow_loop(kind: type[asyncio.AbstractEventLoop]) -> None:
    """Declare the steps of an event loop class followed."""
    followed_loops.add(kind)
    _is_followed.clear()


def unfollow_loop(kind: type[asyncio.AbstractEventLoop]) -> None:
    """Declare the steps of an event loop class no longer followed."""
    followed_loops.discard(kind)
    _is_followed.clear()


def wrap_create_task(hook: Hook) -> Callable[[Any], Any]:
    """Make the wrapper of a loop's `create_task` that follows eager tasks.

    An eager task takes its first step inside `create_task`: no switch point
    tells of it. It may run in another context than its creator, and it may leave
    a context of its own behind when it is suspended.
    """

    def wrap(original: Callable[..., Any]) -> Any:
        def create_task(self: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
            # A task of the default factory is not eager unless the caller says so
            # (`eager_start`, new in 3.14).
            eager = self.get_task_factory() is not None or "eager_start" in options
            if not (eager and hook.active):
                return original(self, coro, **options)
            context = options.get("context")
            if context is not None:
                follow_context(context)
            try:
                return original(self, coro, **options)
            finally:
                follow_current()

        return create_task

    return wrap


class AsyncioSteps(Hook):
    """Wraps `asyncio.Handle._run`, through which asyncio runs everything.

    It covers loops that are running already, and handles that exist already.
    """

    module = "asyncio"

    def _install(self) -> None:
        self._patch(asyncio.Handle, "_run", self._wrap_run)
        if sys.version_info >= (3, 12):
            self._patch(asyncio.BaseEventLoop, "create_task", wrap_create_task(self))
        else:
            self._patch(asyncio.BaseEventLoop, "call_exception_handler", self._wrap_handler)
        follow_loop(asyncio.BaseEventLoop)

    def _remove(self) -> None:
        unfollow_loop(asyncio.BaseEventLoop)
        super()._remove()

    def _wrap_run(self, original: Callable[[Any], None]) -> Any:
        hook = self

        def _run(self: Any) -> None:
            if not hook.active:
                return original(self)
            # The loop may itself run inside a request (`asyncio.run` in a sync
            # view), and loops may be nested. So what is there afterwards is
            # asked anew, and not what was there before.
            thread = follow_context(self._context)
            try:
                return original(self)
            finally:
                follow_current(thread)

        return _run

    def _wrap_handler(self, original: Callable[..., None]) -> Any:
        # Before 3.12 the handler of a step's exception runs outside of the
        # step's context.
        hook = self

        def call_exception_handler(self: asyncio.BaseEventLoop, context: Any) -> None:
            if hook.active:
                follow_current()
            original(self, context)

        return call_exception_handler
