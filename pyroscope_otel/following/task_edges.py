"""Holds each task of a queue from where its worker runs it, as a request is from its edge.

What makes a task's root span does so in the middle of the worker's code, by signals or by
hand: no mark would be below what runs under it.
"""

from __future__ import annotations

from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from pyroscope_otel.following.hook import Hook
from pyroscope_otel.link.held_request import hold_request, release, run_held

if TYPE_CHECKING:
    from collections.abc import Callable


def run_task(call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
    """Run one task as its own code, or as that of the request around it.

    Args:
        call: What runs the task. It makes a root span somewhere inside, or has one around.
        *arguments: Its arguments.
        **named: Its keyword arguments.
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
    """RQ's jobs, in whatever worker."""

    module = "rq.job"

    def _install(self) -> None:
        from rq.job import Job

        self._patch(Job, "perform", self._wrap)


class CeleryTasks(_TaskEdge):
    """Celery's tasks, in a worker with whatever pool, and those that are run eagerly."""

    module = "celery.app.task"

    def _install(self) -> None:
        from celery.app.task import Task  # type: ignore[import-untyped]

        self._patch(Task, "__trace__", lambda _none: _Tracer(self))
        # Eagerly, it makes a function of its own.
        self._patch(Task, "apply", self._wrap)


class _Tracer:
    """The attribute of a task that has the function which a worker runs it with.

    Workers make these functions when they start, once more in each process of a pool,
    and maybe before the first span processor is there: `worker_process_init` comes after.
    So they are wrapped where they are taken, and lie in the task as they were made.
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
