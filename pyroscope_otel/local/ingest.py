"""The one thread that writes: it decodes what came in, stores it, and then says so.

Whatever has arrived while one transaction was written goes into the next, so that
a thousand requests a second need few commits, and one body is expanded at a time.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroscope_otel.local.store import Store

__all__ = ("Ingest", "NotStored")

_logger = logging.getLogger(__name__)

_MOST_JOBS = 500  # of one transaction
_PRUNE_SECONDS = 5.0


class NotStored(Exception):  # noqa: N818 -- what happened to the request
    """The file could not be written."""


class Ingest:
    """Stores what is submitted, on a thread of its own.

    Args:
        store: Where to.
        on_commit: Called on that thread after each commit.
    """

    def __init__(self, store: Store, on_commit: Callable[[], object]) -> None:
        self._store = store
        self._on_commit = on_commit
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._run, name="pyroscope-otel-ingest", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], Any]) -> Future[Any]:
        """Run a job that decodes and adds to the store.

        The future has its result once that is committed, what it raised if it was
        refused, or `NotStored`.
        """
        future: Future[Any] = Future()
        self._jobs.put((job, future))
        return future

    def close(self) -> None:
        """Store what was submitted, then stop."""
        self._jobs.put(None)
        self._thread.join()

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
            self._store_all(jobs)
        return more

    def _next_jobs(
        self, timeout: float
    ) -> tuple[list[tuple[Callable[[], Any], Future[Any]]], bool]:
        jobs = []
        try:
            job = self._jobs.get(timeout=timeout)
            while job is not None:
                jobs.append(job)
                if len(jobs) == _MOST_JOBS:
                    return jobs, True
                job = self._jobs.get_nowait()
        except queue.Empty:
            return jobs, True
        return jobs, False

    def _store_all(self, jobs: list[tuple[Callable[[], Any], Future[Any]]]) -> None:
        # From here on nobody can cancel: those who gave up before are left out.
        jobs = [job for job in jobs if job[1].set_running_or_notify_cancel()]
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with self._store.writing():
                for job, future in jobs:
                    outcomes.append((future, *self._attempt(job)))
        except Exception as error:
            _logger.exception("What was received could not be stored")
            for _, future in jobs:
                future.set_exception(NotStored(f"the file cannot be written: {error}"))
            return
        for future, result, refusal in outcomes:
            if refusal is None:
                future.set_result(result)
            else:
                future.set_exception(refusal)
        self._on_commit()

    def _attempt(self, job: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        try:
            with self._store.part():
                return job(), None
        except sqlite3.OperationalError:
            raise  # the file, not the job
        except Exception as error:
            return None, error

    def _prune(self) -> None:
        try:
            self._store.prune()
        except Exception:
            _logger.exception("What is too old could not be deleted")
