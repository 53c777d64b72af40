"""Follows asyncio's own event loop: callbacks and task steps."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from pyroscope_otel.following.hook import Hook
from pyroscope_otel.link import thread_labels
from pyroscope_otel.link.switch import run_in_context

if TYPE_CHECKING:
    from collections.abc import Callable

followed_loops: set[type[asyncio.AbstractEventLoop]] = set()
"""Event loop classes whose steps are followed, including their subclasses."""

_is_followed: dict[type[asyncio.AbstractEventLoop], bool] = {}


def running_loop_is_followed() -> bool:
    """Return False inside an event loop whose steps are not followed.

    A task there could take labels but not lose them when it is suspended.
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
    """Register an event loop class as followed."""
    followed_loops.add(kind)
    _is_followed.clear()


def unfollow_loop(kind: type[asyncio.AbstractEventLoop]) -> None:
    """Unregister an event loop class."""
    followed_loops.discard(kind)
    _is_followed.clear()


def wrap_create_task(hook: Hook) -> Callable[[Any], Any]:
    """Return a wrapper factory for a loop's `create_task` that follows eager tasks.

    An eager task runs its first step inside `create_task`, which is not a switch point. The
    step may run in a different context from its creator's, and may leave its own context
    current when the task is suspended.
    """

    def wrap(original: Callable[..., Any]) -> Any:
        def create_task(self: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
            # A task of the default factory is eager only if the caller asks for it
            # (`eager_start`, new in 3.14).
            eager = self.get_task_factory() is not None or "eager_start" in options
            if not (eager and hook.active):
                return original(self, coro, **options)
            # A task without a given context gets a copy of the current one. A copy made here
            # names the same owner, and the creator's label is corrected afterwards.
            context = options.get("context")
            if context is None:  # An empty context is falsy.
                context = contextvars.copy_context()
            return run_in_context(context, partial(original, self, coro, **options))

        return create_task

    return wrap


class AsyncioSteps(Hook):
    """Wraps `asyncio.Handle._run`, through which asyncio runs everything.

    This covers loops and handles that already exist.
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
