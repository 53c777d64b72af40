"""Follows trio: a task's step."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from pyroscope_otel import thread_labels
from pyroscope_otel.following.hook import Hook
from pyroscope_otel.following.switch import UNKNOWN, follow_context, follow_current
from pyroscope_otel.thread_labels import this_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import trio

    from pyroscope_otel.marks import Mark


class TrioSteps(Hook):
    """Adds an instrument to each trio run, when it starts.

    To a run that is under way already, or was started by a function imported by
    name earlier, it is added when code in it is about to get labels.
    """

    module = "trio"

    def _install(self) -> None:
        import trio

        hook = self

        # trio's instruments belong to a run, maybe on another thread, so one that
        # cannot be removed becomes inert.
        class Steps(trio.abc.Instrument):
            def __init__(self) -> None:
                self._under: Mark | None = None

            def before_task_step(self, task: trio.lowlevel.Task) -> None:
                thread = this_thread()
                if hook.active:
                    follow_context(task.context)
                # A coroutine of the task's may be run through a mark: that is known when
                # its frames are there.
                self._under, thread.under = thread.under, UNKNOWN

            def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002  trio's
                thread = this_thread()
                thread.under = self._under
                if hook.active:
                    follow_current(thread)

        self._trio: Any = trio
        self._steps = Steps()
        self._added = trio.lowlevel.RunVar("pyroscope_otel", default=False)
        self._patch(trio, "run", self._wrap_run)
        self._patch(trio.lowlevel, "start_guest_run", self._wrap_run)
        thread_labels.require(self._instrument_this_run)
        thread_labels.forget()

    def _remove(self) -> None:
        thread_labels.require_no_longer(self._instrument_this_run)
        lowlevel = self._trio.lowlevel
        if lowlevel.in_trio_run():
            with contextlib.suppress(KeyError):
                lowlevel.remove_instrument(self._steps)
        super()._remove()

    def _wrap_run(self, original: Callable[..., Any]) -> Any:
        @functools.wraps(original)
        def run(*args: Any, instruments: Sequence[Any] = (), **options: Any) -> Any:
            if self.active:
                instruments = [*instruments, self._steps]
            return original(*args, instruments=instruments, **options)

        return run

    def _instrument_this_run(self) -> bool:
        lowlevel = self._trio.lowlevel
        if lowlevel.in_trio_run() and not self._added.get():
            # It does nothing where the instrument is there.
            lowlevel.add_instrument(self._steps)
            self._added.set(True)
        return True
