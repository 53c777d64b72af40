"""The thread that writes to the database."""

import asyncio
import logging
import sqlite3
import threading

import pytest

from pyroscope_otel.tools.serve import ingest as ingest_module
from pyroscope_otel.tools.serve.ingest import Ingest, NotStored
from pyroscope_otel.tools.serve.store import Store


@pytest.fixture
def store():
    stored = Store(None, keep_seconds=3600, max_bytes=2**30)
    yield stored
    stored.close()


def insert(store, name):
    store._writer.execute("INSERT INTO services VALUES (?, 0, 0, NULL, ?)", (name, 2**60))


def names(store):
    with store.reading() as db:
        return [name for (name,) in db.execute("SELECT name FROM services ORDER BY name")]


def ingesting(store, steps, on_commit=lambda: None):
    """Run `await steps(ingest)` on a loop, then close the ingest."""

    async def run():
        ingest = Ingest(store, on_commit)
        try:
            return await asyncio.wait_for(steps(ingest), 30)
        finally:
            await ingest.close()

    return asyncio.run(run())


class Blocking:
    """A job that blocks the thread until `go_on`."""

    def __init__(self):
        self._entered, self._go_on = threading.Event(), threading.Event()

    def __call__(self):
        self._entered.set()
        self._go_on.wait(timeout=30)

    async def entered(self):
        await asyncio.to_thread(self._entered.wait, 30)

    def go_on(self):
        self._go_on.set()


def test_result_comes_after_the_commit(store):
    async def steps(ingest):
        result = await ingest.run(lambda: insert(store, "a") or "done")
        return result, names(store)

    assert ingesting(store, steps) == ("done", ["a"])


def test_waiting_jobs_share_one_transaction(store):
    commits = []

    async def steps(ingest):
        busy = Blocking()
        first = asyncio.ensure_future(ingest.run(busy))
        await busy.entered()
        rest = [ingest.run(lambda n=n: insert(store, str(n))) for n in range(5)]
        together = asyncio.gather(*rest)
        await asyncio.sleep(0)
        busy.go_on()
        await asyncio.gather(first, together)

    ingesting(store, steps, lambda: commits.append(1))
    assert len(commits) == 2  # that of the first job, and one for the rest
    assert names(store) == ["0", "1", "2", "3", "4"]


def test_failing_job_does_not_affect_others(store):
    def lost():
        insert(store, "lost")
        raise ZeroDivisionError

    async def steps(ingest):
        jobs = (lambda: insert(store, "a"), lost, lambda: insert(store, "b"))
        return await asyncio.gather(*map(ingest.run, jobs), return_exceptions=True)

    results = ingesting(store, steps)
    assert [type(result) for result in results] == [type(None), ZeroDivisionError, type(None)]
    assert names(store) == ["a", "b"]


def test_write_error_is_raised_in_all_jobs_and_logged(store, caplog):
    def fail():
        raise sqlite3.OperationalError("database or disk is full")

    async def steps(ingest):
        jobs = (lambda: insert(store, "a"), fail)
        results = await asyncio.gather(*map(ingest.run, jobs), return_exceptions=True)
        await ingest.run(lambda: insert(store, "b"))  # the thread continues
        return results

    results = ingesting(store, steps)
    assert [type(result) for result in results] == [NotStored, NotStored]
    assert str(results[0]) == "the file cannot be written: database or disk is full"
    assert names(store) == ["b"]
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.message == "Received data could not be stored"


def test_cancelled_waiting_job_is_not_run(store):
    async def steps(ingest):
        busy = Blocking()
        first = asyncio.ensure_future(ingest.run(busy))
        await busy.entered()
        given_up = asyncio.ensure_future(ingest.run(lambda: insert(store, "given up")))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
        busy.go_on()
        await first

    ingesting(store, steps)
    assert names(store) == []


def test_cancelled_running_job_does_not_affect_others(store):
    async def steps(ingest):
        busy = Blocking()
        given_up = asyncio.ensure_future(ingest.run(busy))
        other = asyncio.ensure_future(ingest.run(lambda: insert(store, "a")))
        await busy.entered()
        given_up.cancel()
        await asyncio.sleep(0)
        busy.go_on()
        await other

    ingesting(store, steps)
    assert names(store) == ["a"]


def test_close_runs_all_submitted_jobs(store):
    async def steps(ingest):
        together = asyncio.gather(
            *[ingest.run(lambda n=n: insert(store, f"{n:04}")) for n in range(1200)]
        )
        await asyncio.sleep(0)
        return together  # not awaited, so that the ingest is closed first

    ingesting(store, steps)
    assert len(names(store)) == 1200


def test_prunes_periodically(store, monkeypatch):
    monkeypatch.setattr(ingest_module, "_PRUNE_SECONDS", 0.05)

    async def steps(_ingest):
        loop, pruned = asyncio.get_running_loop(), asyncio.Semaphore(0)
        monkeypatch.setattr(store, "prune", lambda: loop.call_soon_threadsafe(pruned.release))
        for _ in range(3):
            await pruned.acquire()

    ingesting(store, steps)
