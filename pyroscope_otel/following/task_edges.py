"""Holds each queue task at the point where a worker runs it.

A task's root span starts in the middle of the worker's code, in a signal handler or by hand.
Without a hold, no mark would be on the stack below the task's code.
"""

from __future__ import annotations

from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from pyroscope_otel.following.hook import Hook
from pyroscope_otel.link.held_request import hold_request, release, run_held

if TYPE_CHECKING:
    from collections.abc import Callable


def run_task(call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
    """Run one task under a hold of its own, or as part of the request that is already held.

    Args:
        call: Runs the task. The root span starts inside it, or is already current.
        *arguments: Positional arguments for `call`.
        **named: Keyword arguments for `call`.
    """
    hold = hold_request({})
    if hold is None:
        return call(*arguments, **named)
    try:
        return run_held(hold, partial(call, *arguments, **named))
    finally:
        release(hold)


class _TaskEdge(Hook):
    def _wrap(self, original: Callable[..., Any]) -> Any:
        hook = self

        @wraps(original)
        def run(*arguments: Any, **named: Any) -> Any:
            if hook.active:
                return run_task(original, *arguments, **named)
            return original(*arguments, **named)

        return run


class RqJobs(_TaskEdge):
    """RQ jobs, in any worker."""

    module = "rq.job"

    def _install(self) -> None:
        from rq.job import Job

        self._patch(Job, "perform", self._wrap)


class CeleryTasks(_TaskEdge):
    """Celery tasks, in a worker with any pool or run eagerly."""

    module = "celery.app.task"

    def _install(self) -> None:
        from celery.app.task import Task  # type: ignore[import-untyped]

        self._patch(Task, "__trace__", lambda _none: _Tracer(self))
        # An eager call builds a tracer of its own.
        self._patch(Task, "apply", self._wrap)


class _Tracer:
    """Stands in for `Task.__trace__`, the function with which a worker runs the task.

    Workers build these functions at start-up and again in each pool process. That may be
    before the first span processor exists: `worker_process_init` is sent later. So the
    task stores the original function, and each read wraps it.
    """

    def __init__(self, hook: CeleryTasks) -> None:
        self._hook = hook

    def __get__(self, task: Any, owner: type | None = None) -> Any:
        tracer = None if task is None else vars(task).get("__trace__")
        if tracer is None or not self._hook.active:
            return tracer
        return partial(run_task, tracer)

    def __set__(self, task: Any, tracer: Any) -> None:
        vars(task)["__trace__"] = tracer
