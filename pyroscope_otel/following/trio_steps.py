"""Follows trio: task steps."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from pyroscope_otel.following.hook import Hook
from pyroscope_otel.link import thread_labels
from pyroscope_otel.link.switch import UNKNOWN, follow_context, follow_current
from pyroscope_otel.link.thread_labels import this_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import trio

    from pyroscope_otel.link.marks import Mark
    from pyroscope_otel.link.thread_labels import Thread


class TrioSteps(Hook):
    """Adds an instrument to each trio run when it starts.

    A run that has already started, or was started through a function imported by name earlier,
    gets the instrument when code in it is about to carry labels.
    """

    module = "trio"

    def _install(self) -> None:
        import trio

        hook = self

        # An instrument belongs to a run, maybe on another thread. One that cannot be removed
        # does nothing.
        class Steps(trio.abc.Instrument):
            def __init__(self) -> None:
                self._under: Mark | None = None

            def before_task_step(self, task: trio.lowlevel.Task) -> None:
                thread = this_thread()
                if hook.active:
                    follow_context(task.context)
                # The task's coroutine may run through a mark. That is known only once its
                # frames are on the stack.
                self._under, thread.under = thread.under, UNKNOWN

            def leave(self) -> Thread:
                thread = this_thread()
                thread.under = self._under
                return thread

            def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002  trio's
                thread = self.leave()
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
                # Nothing tells the end of the running step any more.
                self._steps.leave()
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
            # Does nothing if the instrument is already there.
            lowlevel.add_instrument(self._steps)
            self._added.set(True)
        return True
