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
from pyroscope_otel.attribution import INHERITED, Submitter, current_submitter
from pyroscope_otel.following.hook import Hook
from pyroscope_otel.following.switch import follow, follow_current, follow_nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroscope_otel.thread_labels import Thread


class PoolJobs(Hook):
    """Wraps `ThreadPoolExecutor.submit`: a job belongs to its submitter's request."""

    module = "concurrent.futures"

    def _install(self) -> None:
        # The worker goes idle, whatever a job or a tool left in its context.
        self._patch(ThreadPoolExecutor, "submit", partial(self._wrap_submit, follow_nothing))

    def _wrap_submit(self, leave: Callable[[Thread], object], original: Callable[..., Any]) -> Any:
        hook = self

        def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            if not hook.active or _runs_in_other_interpreters(self):
                return original(self, fn, *args, **kwargs)
            try:
                submitter = current_submitter()
            except Exception:
                submitter = None
                failure.report("note who submits a job")
            return original(self, partial(_run_job, leave, submitter, fn), *args, **kwargs)

        return submit


class AsgirefJobs(PoolJobs):
    """Wraps asgiref's executor of jobs in the thread that waits for them.

    `async_to_sync` waits; what is synchronous below it runs in the waiting
    thread, which carries the labels of the code that waits.
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


def _run_job(
    leave: Callable[[Thread], object],
    submitter: Submitter | None,
    fn: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    if submitter is None:
        # The worker may carry what a job before left attached, or what ended
        # meanwhile on another thread.
        thread = follow_current()
        try:
            return fn(*args, **kwargs)
        finally:
            leave(thread)
    token = INHERITED.set(submitter)
    # Not `follow_current`: a job often enters its submitter's context at once,
    # and the worker's own, if it has one, is another's.
    thread = follow(submitter)
    try:
        return fn(*args, **kwargs)
    finally:
        INHERITED.reset(token)
        submitter.job_ended()
        leave(thread)
