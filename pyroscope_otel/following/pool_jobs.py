"""Follows a job into a thread pool of the standard library.

`asyncio.to_thread`, `run_in_executor` and most of asgiref's `sync_to_async`
come this way.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from pyroscope_otel import failure
from pyroscope_otel.attribution import current_owner, current_span_ref
from pyroscope_otel.following.hook import Hook
from pyroscope_otel.following.switch import (
    clear_label,
    follow_current,
    run_in_context,
)
from pyroscope_otel.following.through_marks import run_as_guest

if TYPE_CHECKING:
    from collections.abc import Callable


def job_of_current_owner(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls `fn` on another thread, for whom the running code works."""
    try:
        owner = current_owner()
        if owner is not None:
            return partial(run_as_guest, owner, current_span_ref(), fn)
    except Exception:
        failure.report("note who submits a job")
    # The worker may have what a job before left attached.
    return partial(run_in_context, None, fn)


class PoolJobs(Hook):
    """Wraps `ThreadPoolExecutor.submit`: a job belongs to its submitter's request."""

    module = "concurrent.futures"

    def _install(self) -> None:
        # The worker goes idle, whatever a job or a tool left in its context.
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
    """Wraps asgiref's executor of jobs in the thread that waits for them.

    `async_to_sync` waits; what is synchronous below it runs in the waiting
    thread, on top of the code that waits.
    """

    module = "asgiref.current_thread_executor"

    def _install(self) -> None:
        from asgiref.current_thread_executor import CurrentThreadExecutor

        self._patch(CurrentThreadExecutor, "submit", partial(self._wrap_submit, follow_current))


def _runs_in_other_interpreters(executor: object) -> bool:
    """Return whether this is an InterpreterPoolExecutor (3.14), a thread pool by inheritance.

    It pickles its jobs, and nothing of ours exists where they run.
    """
    module = sys.modules.get("concurrent.futures.interpreter")
    return module is not None and isinstance(executor, module.InterpreterPoolExecutor)


def _run_job(leave: Callable[[], object], job: Callable[..., Any], /, *args: Any) -> Any:
    try:
        return job(*args)
    finally:
        leave()
