"""Follows functions into worker threads of AnyIO and trio.

Starlette and FastAPI run synchronous endpoints, dependencies and streaming bodies there. Both
libraries run the function in a copy of the caller's context.
"""

from __future__ import annotations

from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from pyroscope_otel.following.hook import Hook
from pyroscope_otel.following.pool_jobs import job_of_current_owner
from pyroscope_otel.link.switch import clear_label, run_in_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class AnyioJobs(Hook):
    """Wraps `anyio.to_thread.run_sync`."""

    module = "anyio.to_thread"

    def _install(self) -> None:
        from anyio import to_thread

        self._patch(to_thread, "run_sync", self._wrap_run_sync)

    def _wrap_run_sync(self, original: Callable[..., Awaitable[Any]]) -> Any:
        hook = self

        async def run_sync(func: Callable[..., Any], *args: Any, **options: Any) -> Any:
            if not hook.active:
                return await original(func, *args, **options)
            job = partial(_run_and_go_idle, job_of_current_owner(func))
            # trio names the thread after the function.
            job.__name__ = getattr(func, "__name__", None)  # type: ignore[attr-defined]
            return await original(job, *args, **options)

        return run_sync


class TrioJobs(AnyioJobs):
    """Wraps `trio.to_thread.run_sync`, and `trio.from_thread.run_sync` in the other direction.

    The latter runs a function in the worker's context, inside a task step.
    """

    module = "trio"

    def _install(self) -> None:
        from trio import from_thread, to_thread

        self._patch(to_thread, "run_sync", self._wrap_run_sync)
        self._patch(from_thread, "run_sync", self._wrap_run_sync_back)

    def _wrap_run_sync_back(self, original: Callable[..., Any]) -> Any:
        @wraps(original)
        def run_sync(fn: Callable[..., Any], *args: Any, **options: Any) -> Any:
            if not self.active:
                return original(fn, *args, **options)
            job = partial(run_in_context, None, fn)
            return original(partial(_run_and_go_idle, job), *args, **options)

        return run_sync


def _run_and_go_idle(job: Callable[..., Any], *args: Any) -> Any:
    try:
        return job(*args)
    finally:
        # The copied context is still entered here, and the worker goes idle (or trio waits for
        # the worker's next message).
        clear_label()
