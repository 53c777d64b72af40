"""Decodes and stores received data on a single writer thread.

Everything that arrives while a transaction is written goes into the next one. So a thousand
requests a second need few commits. Bodies are decoded one at a time, to bound memory.
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

_MAX_JOBS = 500  # per transaction
_GATHER_SECONDS = 0.005  # the wait for more jobs before a transaction begins
_PRUNE_SECONDS = 5.0


class NotStored(Exception):  # noqa: N818 -- reads better where it is caught
    """The file could not be written."""


class Ingest:
    """Runs submitted jobs on its own thread, which writes to the store.

    Belongs to the event loop that creates it.

    Args:
        store: The store to write to.
        on_commit: Called on the event loop after each commit.
    """

    def __init__(self, store: Store, on_commit: Callable[[], object]) -> None:
        self._store = store
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="pyroscope-otel-ingest", daemon=True)
        self._thread.start()

    async def run(self, job: Callable[[], Any]) -> Any:
        """Run a job that decodes data and adds it to the store. Return its result once committed.

        Raises:
            NotStored: The file could not be written.
            Exception: Any exception of the job, after which none of its data is stored.
        """
        future = self._loop.create_future()
        self._jobs.put((job, future))
        return await future

    async def close(self) -> None:
        """Run the submitted jobs, then stop."""
        self._jobs.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        prune_at = 0.0
        while self._store_next(max(0.0, prune_at - time.monotonic())):
            if time.monotonic() >= prune_at:
                self._prune()
                prune_at = time.monotonic() + _PRUNE_SECONDS

    def _store_next(self, timeout: float) -> bool:
        """Run the waiting jobs, and return whether more can follow. Keeps no references."""
        jobs, more = self._next_jobs(timeout)
        if jobs:
            outcomes = self._store_all(jobs)
            # Optimization: wake the loop once for all. Waking it for each job costs more than
            # storing the job.
            self._loop.call_soon_threadsafe(self._answer, outcomes)
        return more

    def _next_jobs(self, timeout: float) -> tuple[list[_Job], bool]:
        jobs: list[_Job] = []
        try:
            job = self._jobs.get(timeout=timeout)
            time.sleep(_GATHER_SECONDS)
            while job is not None:
                jobs.append(job)
                if len(jobs) == _MAX_JOBS:
                    return jobs, True
                job = self._jobs.get_nowait()
        except queue.Empty:
            return jobs, True
        return jobs, False

    def _store_all(self, jobs: list[_Job]) -> list[_Outcome]:
        try:
            with self._store.writing():
                # Skip cancelled jobs, such as that of a request that was cut off.
                return [
                    (future, *self._attempt(job)) for job, future in jobs if not future.cancelled()
                ]
        except Exception as error:
            _logger.exception("Received data could not be stored")
            refusal = NotStored(f"the file cannot be written: {error}")
            return [(future, None, refusal) for _, future in jobs]

    def _attempt(self, job: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        try:
            with self._store.part():
                return job(), None
        except sqlite3.OperationalError:
            raise  # the file failed, not the job
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
            _logger.exception("Old data could not be deleted")
