"""Uploads the samples of child processes that end with `os._exit`.

`os._exit` runs no exit handlers. Only a process that runs our agent pays for this. A fork that
serves no request, or executes another program, does not.
"""

from __future__ import annotations

import os
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from pyroscope_otel.following.arrival import when_imported
from pyroscope_otel.following.hook import Hook
from pyroscope_otel.link import failure

if TYPE_CHECKING:
    from collections.abc import Callable

    Stop = Callable[[float], object]

SECONDS: Final = 2.0
"""How long the end of a child may wait for the server. The parent may be waiting for the child."""

_LAST: Final = -1000


class _Process:
    pid = 0
    """The last process that registered its finaliser. A forked child needs its own."""


def watch(stop: Stop) -> None:
    """Stop the agent at the end of children that are forked from now on.

    Args:
        stop: Stops the calling process's agent within the given number of seconds. Returns at
            once if no agent runs.
    """
    if not _RQ.active and not _RQ.is_waiting:
        _RQ.stop, _RQ.is_waiting = stop, True
        when_imported(_RQ.module, _RQ.install)


def agent_started(stop: Stop) -> None:
    """Stop the agent at the end of this process, if it is a `multiprocessing` child.

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
    # Runs last, so that other finalisers are sampled too. A finaliser belongs to the process
    # that made it and is not called in forks of that process.
    util.Finalize(None, stop, args=(SECONDS,), exitpriority=_LAST)


class _RqJobs(Hook):
    """Stops the agent after the single job of a process that RQ has forked.

    RQ's `main_work_horse` calls `perform_job` and then `os._exit`, without finalisers.
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
                # A worker that runs jobs in its own process continues.
                if self.active and worker.is_horse:
                    try:
                        self.stop(SECONDS)
                    except Exception:
                        failure.report("upload what was sampled in a job")

        return perform_job


_RQ: Final = _RqJobs()
