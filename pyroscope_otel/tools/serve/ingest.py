"""The one thread that writes: it decodes what came in, stores it, and then says so.

Whatever has arrived while one transaction was written goes into the next, so that
a thousand requests a second need few commits, and one body is expanded at a time.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroscope_otel.tools.serve.store import Store

    _Job = tuple[Callable[[], Any], asyncio.Future[Any]]
    _Outcome = tuple[asyncio.Future[Any], Any, BaseException | None]

__all__ = ("Ingest", "NotStored")

_logger = logging.getLogger(__name__)

_MOST_JOBS = 500  # of one transaction
_GATHER_SECONDS = 0.005  # for more to come in, before a transaction begins
_PRUNE_SECONDS = 5.0


class NotStored(Exception):  # noqa: N818 -- what happened to the request
    """The file could not be written."""


class Ingest:
    """Stores what is submitted, on a thread of its own.

    It belongs to the event loop it is made on.

    Args:
        store: Where to.
        on_commit: Called on the loop after each commit.
    """

    def __init__(self, store: Store, on_commit: Callable[[], object]) -> None:
        self._store = store
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="pyroscope-otel-ingest", daemon=True)
        self._thread.start()

    async def run(self, job: Callable[[], Any]) -> Any:
        """Run a job that decodes and adds to the store; return its result once it is committed.

        Raises:
            NotStored: The file could not be written.
            Exception: What the job raised. Nothing of it is stored.
        """
        future = self._loop.create_future()
        self._jobs.put((job, future))
        return await future

    async def close(self) -> None:
        """Store what was submitted, then stop."""
        self._jobs.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        prune_at = 0.0
        while self._store_next(max(0.0, prune_at - time.monotonic())):
            if time.monotonic() >= prune_at:
                self._prune()
                prune_at = time.monotonic() + _PRUNE_SECONDS

    def _store_next(self, timeout: float) -> bool:
        """Store what waits; return whether there can be more. It holds on to nothing."""
        jobs, more = self._next_jobs(timeout)
        if jobs:
            outcomes = self._store_all(jobs)
            # All at once: waking the loop for each would cost more than storing it.
            self._loop.call_soon_threadsafe(self._answer, outcomes)
        return more

    def _next_jobs(self, timeout: float) -> tuple[list[_Job], bool]:
        jobs: list[_Job] = []
        try:
            job = self._jobs.get(timeout=timeout)
            time.sleep(_GATHER_SECONDS)
            while job is not None:
                jobs.append(job)
                if len(jobs) == _MOST_JOBS:
                    return jobs, True
                job = self._jobs.get_nowait()
        except queue.Empty:
            return jobs, True
        return jobs, False

    def _store_all(self, jobs: list[_Job]) -> list[_Outcome]:
        try:
            with self._store.writing():
                # Who gave up, such as a request that was cut off, is left out.
                return [
                    (future, *self._attempt(job)) for job, future in jobs if not future.cancelled()
                ]
        except Exception as error:
            _logger.exception("What was received could not be stored")
            refusal = NotStored(f"the file cannot be written: {error}")
            return [(future, None, refusal) for _, future in jobs]

    def _attempt(self, job: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        try:
            with self._store.part():
                return job(), None
        except sqlite3.OperationalError:
            raise  # the file, not the job
        except Exception as error:
            return None, error

    def _answer(self, outcomes: list[_Outcome]) -> None:
        for future, result, error in outcomes:
            if future.cancelled():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        self._on_commit()

    def _prune(self) -> None:
        try:
            self._store.prune()
        except Exception:
            _logger.exception("What is too old could not be deleted")
