"""Children that end by `os._exit`: what was sampled in them is uploaded at their end.

Exit handlers do not run there. Only where an agent of ours runs in the very process is there
anything to do: a fork that serves no request, or executes another program, pays nothing.
"""

from __future__ import annotations

import os
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from pyroscope_otel import failure
from pyroscope_otel.following.arrival import when_imported
from pyroscope_otel.following.hook import Hook

if TYPE_CHECKING:
    from collections.abc import Callable

    Stop = Callable[[float], object]

SECONDS: Final = 2.0
"""How long such an end may wait for the server: somebody may wait for the child."""

_LAST: Final = -1000


class _Process:
    pid = 0
    """The last process that has its finaliser: a forked child needs one of its own."""


def watch(stop: Stop) -> None:
    """See to it that the agent stops at the end of children that are forked from now on.

    Args:
        stop: Stops the agent of the calling process within so many seconds, at once where
            none runs.
    """
    if not _RQ.active and not _RQ.is_waiting:
        _RQ.stop, _RQ.is_waiting = stop, True
        when_imported(_RQ.module, _RQ.install)


def agent_started(stop: Stop) -> None:
    """Have the agent stop at the end of this process, if that is a child of `multiprocessing`.

    Such a child calls finalisers before `os._exit`.

    Args:
        stop: See `watch`.
    """
    if _Process.pid == os.getpid():
        return
    _Process.pid = os.getpid()
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is None or process is None or process.parent_process() is None:
        return
    # The last of all: what other finalisers do is sampled as well. One belongs to the process
    # that made it, and is not called in what is forked from that.
    util.Finalize(None, stop, args=(SECONDS,), exitpriority=_LAST)


class _RqJobs(Hook):
    """Stops the agent after the one job for which RQ has forked a process.

    RQ's `main_work_horse` calls `perform_job`, then `os._exit`, and has no finalisers.
    """

    module = "rq.worker"
    stop: Stop
    is_waiting = False

    def _install(self) -> None:
        from rq.worker import Worker  # type: ignore[import-not-found, unused-ignore]

        self._patch(Worker, "perform_job", self._wrap)

    def _wrap(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def perform_job(worker: Any, *arguments: Any, **named: Any) -> Any:
            try:
                return original(worker, *arguments, **named)
            finally:
                # A worker that runs its jobs itself goes on.
                if self.active and worker.is_horse:
                    try:
                        self.stop(SECONDS)
                    except Exception:
                        failure.report("upload what was sampled in a job")

        return perform_job


_RQ: Final = _RqJobs()
