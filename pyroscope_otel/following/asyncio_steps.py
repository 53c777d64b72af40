"""Follows asyncio's own event loop: a callback or a task's step."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from pyroscope_otel import thread_labels
from pyroscope_otel.following.hook import Hook
from pyroscope_otel.following.switch import run_in_context

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
            # Without a context of its own it has a copy of the current one: the owner's is
            # the same, and what it leaves behind is put right afterwards.
            context = options.get("context")
            if context is None:  # An empty one is false.
                context = contextvars.copy_context()
            return run_in_context(context, partial(original, self, coro, **options))

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
        follow_loop(asyncio.BaseEventLoop)

    def _remove(self) -> None:
        unfollow_loop(asyncio.BaseEventLoop)
        super()._remove()

    def _wrap_run(self, original: Callable[[Any], None]) -> Any:
        hook = self

        def _run(self: Any) -> None:
            if not hook.active:
                return original(self)
            return run_in_context(self._context, original, self)  # type: ignore[no-any-return]

        return _run
