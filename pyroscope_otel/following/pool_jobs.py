"""Follows jobs into the standard library's thread pools.

`asyncio.to_thread`, `run_in_executor` and most of asgiref's `sync_to_async` use them.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from pyroscope_otel.following.hook import Hook
from pyroscope_otel.link import failure
from pyroscope_otel.link.attribution import current_owner, current_span_ref
from pyroscope_otel.link.switch import clear_label, follow_current, run_in_context
from pyroscope_otel.link.through_marks import run_as_guest

if TYPE_CHECKING:
    from collections.abc import Callable


def job_of_current_owner(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that runs `fn` on another thread for the current owner."""
    try:
        owner = current_owner()
        if owner is not None:
            return partial(run_as_guest, owner, current_span_ref(), fn)
    except Exception:
        failure.report("note who submits a job")
    # An earlier job may have left a context attached in the worker.
    return partial(run_in_context, None, fn)


class PoolJobs(Hook):
    """Wraps `ThreadPoolExecutor.submit`: a job belongs to its submitter's request."""

    module = "concurrent.futures"

    def _install(self) -> None:
        # The worker goes idle, whatever the job or a tool left in its context.
        self._patch(ThreadPoolExecutor, "submit", partial(self._wrap_submit, clear_label))

    def _wrap_submit(self, leave: Callable[[], object], original: Callable[..., Any]) -> Any:
        hook = self

        def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            if not hook.active or _runs_in_other_interpreters(self):
                return original(self, fn, *args, **kwargs)
            if kwargs:
                fn = partial(fn, **kwargs)
            return original(self, _run_job, leave, job_of_current_owner(fn), *args)

        return submit


class AsgirefJobs(PoolJobs):
    """Wraps asgiref's executor for jobs in the waiting thread.

    `async_to_sync` blocks a thread. Synchronous code below it runs in that thread, on top of
    the blocked code.
    """

    module = "asgiref.current_thread_executor"

    def _install(self) -> None:
        from asgiref.current_thread_executor import CurrentThreadExecutor

        self._patch(CurrentThreadExecutor, "submit", partial(self._wrap_submit, follow_current))


def _runs_in_other_interpreters(executor: object) -> bool:
    """Return whether this is an InterpreterPoolExecutor (3.14), which inherits from the pool.

    It pickles its jobs, and this package is not loaded where they run.
    """
    module = sys.modules.get("concurrent.futures.interpreter")
    return module is not None and isinstance(executor, module.InterpreterPoolExecutor)


def _run_job(leave: Callable[[], object], job: Callable[..., Any], /, *args: Any) -> Any:
    try:
        return job(*args)
    finally:
        leave()
