"""Leaves code that Twisted's reactor runs without a profile.

`inlineCallbacks` enters and leaves contexts without any hook. Labels could be set there,
but not cleared when the code is suspended. Work handed to Twisted's thread pool is
followed, and so are asyncio tasks where asyncio runs the reactor. Under Daphne, those
tasks are the application.
"""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING, Any

from pyroscope_otel.following.hook import Hook
from pyroscope_otel.link import thread_labels
from pyroscope_otel.link.through_marks import run_as

if TYPE_CHECKING:
    from collections.abc import Callable


class TwistedReactor(Hook):
    """Sets no labels on the reactor's thread, except in asyncio tasks."""

    module = "twisted.python.threadable"

    def _install(self) -> None:
        from twisted.python.threadable import isInIOThread

        self._is_reactor_thread: Callable[[], bool] = isInIOThread
        thread_labels.require(self._is_followed, in_steps=False)
        thread_labels.forget()

    def _remove(self) -> None:
        thread_labels.require_no_longer(self._is_followed)

    def _is_followed(self) -> bool:
        if not self._is_reactor_thread():
            return True
        loop = asyncio._get_running_loop()  # noqa: SLF001  documented for implementers
        return loop is not None and asyncio.current_task(loop) is not None


class TwistedOnAsyncio(Hook):
    """Runs the callbacks that asyncio makes for Twisted without a profile.

    An asyncio timer runs in the context of the code that set it, but Twisted also resumes
    the work of other requests in it.
    """

    module = "twisted.internet.asyncioreactor"

    def _install(self) -> None:
        from twisted.internet.asyncioreactor import AsyncioSelectorReactor

        self._patch(AsyncioSelectorReactor, "runUntilCurrent", self._wrap)
        self._patch(AsyncioSelectorReactor, "_readOrWrite", self._wrap)

    def _wrap(self, original: Callable[..., Any]) -> Any:
        hook = self

        @wraps(original)
        def run(*arguments: Any) -> Any:
            if hook.active:
                return run_as(None, original, *arguments)
            return original(*arguments)

        return run
