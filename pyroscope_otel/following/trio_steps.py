"""Follows trio: a task's step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroscope_otel import thread_labels
from pyroscope_otel.following.hook import Hook
from pyroscope_otel.following.switch import follow_context, follow_current

if TYPE_CHECKING:
    import trio


class TrioSteps(Hook):
    """Adds an instrument to each trio run, when code in it is about to get labels.

    trio's instruments belong to a run. Adding ours from inside leaves nothing to
    patch, and covers runs that are under way, on any thread.
    """

    module = "trio"

    def _install(self) -> None:
        import trio

        class Steps(trio.abc.Instrument):
            def before_task_step(self, task: trio.lowlevel.Task) -> None:
                follow_context(task.context)

            def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002  trio's
                follow_current()

        self._trio: Any = trio
        self._steps = Steps()
        self._added = trio.lowlevel.RunVar("pyroscope_otel", default=False)
        thread_labels.conditions.append(self._instrument_this_run)
        thread_labels.forget()

    def _remove(self) -> None:
        thread_labels.conditions.remove(self._instrument_this_run)
        lowlevel = self._trio.lowlevel
        if lowlevel.in_trio_run() and self._added.get():
            lowlevel.remove_instrument(self._steps)

    def _instrument_this_run(self) -> bool:
        lowlevel = self._trio.lowlevel
        if lowlevel.in_trio_run() and not self._added.get():
            lowlevel.add_instrument(self._steps)
            self._added.set(True)
        return True
