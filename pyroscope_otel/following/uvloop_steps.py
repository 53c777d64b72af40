"""Follows uvloop: callbacks and task steps.

uvloop's handles are compiled, so each callback is wrapped when it is passed to the loop. Tasks
pass their steps in the same way.
"""

from __future__ import annotations

import contextvars
import inspect
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from pyroscope_otel.following.asyncio_steps import follow_loop, unfollow_loop, wrap_create_task
from pyroscope_otel.following.hook import Hook
from pyroscope_otel.link.attribution import CURRENT, INHERITED
from pyroscope_otel.link.switch import follow_current, run_in_context
from pyroscope_otel.link.thread_labels import this_thread

if TYPE_CHECKING:
    from collections.abc import Callable


class UvloopSteps(Hook):
    """Wraps the methods of `uvloop.Loop` that take a callback.

    Calls that uvloop dispatches itself, to the methods of a protocol, are not followed.
    """

    module = "uvloop"

    def __init__(self) -> None:
        super().__init__()
        self.debugs = False
        """Whether an event loop has run in debug mode."""

    def _install(self) -> None:
        import uvloop

        loop = uvloop.Loop
        for name in ("call_soon", "call_soon_threadsafe"):
            self._patch(loop, name, self._wrap_soon)
        # `call_at` goes through `call_later`.
        self._patch(loop, "call_later", self._wrap_later)
        for name in ("add_reader", "add_writer", "add_signal_handler"):
            self._patch(loop, name, self._wrap_registration)
        self._patch(loop, "call_exception_handler", self._wrap_handler)
        self._patch(loop, "run_forever", self._wrap_run_forever)
        if sys.version_info >= (3, 12):
            self._patch(loop, "create_task", wrap_create_task(self))
        follow_loop(loop)

    def _remove(self) -> None:
        import uvloop

        unfollow_loop(uvloop.Loop)
        super()._remove()

    def _wrap_soon(self, original: Callable[..., Any]) -> Any:
        hook = self

        def call_soon(
            self: Any,
            callback: Callable[..., Any],
            *args: Any,
            context: contextvars.Context | None = None,
        ) -> Any:
            if not hook.active:
                return original(self, callback, *args, context=context)
            if hook.debugs:
                # This way the loop's debug messages also name the callback.
                step = partial(run_in_context, None, callback, *args)
                return original(self, step, context=context)
            # Optimization: avoiding the partial, and the unpacking of no arguments, cuts a step
            # outside of any request to two thirds (CPython 3.11).
            if args:
                return original(self, run_in_context, None, callback, *args, context=context)
            return original(self, run_in_context, None, callback, context=context)

        return call_soon

    def _wrap_later(self, original: Callable[..., Any]) -> Any:
        hook = self

        def call_later(
            self: Any,
            delay: float,
            callback: Callable[..., Any],
            *args: Any,
            context: contextvars.Context | None = None,
        ) -> Any:
            if hook.active:
                callback, args = partial(run_in_context, None, callback, *args), ()
            return original(self, delay, callback, *args, context=context)

        return call_later

    def _wrap_registration(self, original: Callable[..., Any]) -> Any:
        hook = self

        def add_callback(self: Any, *args: Any, **named: Any) -> Any:
            if not hook.active:
                return original(self, *args, **named)
            # `callback` is the second parameter, whatever its name.
            if "callback" in named:
                named["callback"] = _wrapped(named["callback"])
            elif len(args) > 1:
                source, callback, *rest = args
                args = (source, _wrapped(callback), *rest)
            return original(self, *args, **named)

        def _wrapped(callback: Any) -> Any:
            # uvloop rejects a coroutine function as a signal handler, so pass it on unwrapped.
            if inspect.iscoroutinefunction(callback):
                return callback
            return partial(run_in_context, None, callback)

        return add_callback

    def _wrap_handler(self, original: Callable[[Any, Any], None]) -> Any:
        hook = self

        def call_exception_handler(self: Any, context: Any) -> None:
            # If a callback raised (the context names its handle), its step is over but its
            # context is still entered.
            if not hook.active or "handle" not in context:
                return original(self, context)
            run_in_context(None, original, self, context)
            return None

        return call_exception_handler

    def _wrap_run_forever(self, original: Callable[[Any], None]) -> Any:
        hook = self

        def run_forever(self: Any) -> None:
            hook.debugs = hook.debugs or self.get_debug()
            thread = this_thread()
            # uvloop returns from a callback inside the callback's context, so the context
            # outside is saved when the loop starts.
            before = thread.outside_loop
            context = contextvars.copy_context()
            # Optimization: usually this context names no owner and need not be checked.
            has_no_owner = CURRENT not in context and INHERITED not in context
            thread.outside_loop = None if has_no_owner else context
            try:
                original(self)
            finally:
                thread.outside_loop = before
                follow_current(thread)

        return run_forever
