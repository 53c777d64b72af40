"""The thread that writes."""

import logging
import sqlite3
import threading

import pytest

from pyroscope_otel.local import ingest as ingest_module
from pyroscope_otel.local.ingest import Ingest, NotStored
from pyroscope_otel.local.store import Store


@pytest.fixture
def store():
    stored = Store(None, keep_seconds=3600, max_bytes=2**30)
    yield stored
    stored.close()


def insert(store, name):
    store._writer.execute("INSERT INTO services VALUES (?, 0, ?)", (name, 2**60))


def names(store):
    with store.reading() as db:
        return [name for (name,) in db.execute("SELECT name FROM services ORDER BY name")]


def test_answer_comes_after_the_commit(store):
    seen = []
    ingest = Ingest(store, lambda: None)
    future = ingest.submit(lambda: insert(store, "a") or "done")
    future.add_done_callback(lambda _future: seen.append(names(store)))
    assert future.result(timeout=30) == "done"
    ingest.close()
    assert seen == [["a"]]


def test_what_waits_goes_into_one_transaction(store):
    commits = []
    entered, go_on = threading.Event(), threading.Event()
    ingest = Ingest(store, lambda: commits.append(names(store)))
    first = ingest.submit(lambda: (entered.set(), go_on.wait(), insert(store, "0")))
    assert entered.wait(timeout=30)
    rest = [ingest.submit(lambda n=n: insert(store, str(n))) for n in range(1, 6)]
    go_on.set()
    for future in (first, *rest):
        future.result(timeout=30)
    ingest.close()
    assert commits == [["0"], ["0", "1", "2", "3", "4", "5"]]


def test_job_that_fails_fails_alone(store):
    ingest = Ingest(store, lambda: None)

    def lost():
        insert(store, "lost")
        raise ZeroDivisionError

    futures = [ingest.submit(job) for job in (lambda: insert(store, "a"), lost)]
    futures[0].result(timeout=30)
    with pytest.raises(ZeroDivisionError):
        futures[1].result(timeout=30)
    ingest.close()
    assert names(store) == ["a"]


def test_file_that_cannot_be_written_is_said_to_all_and_logged(store, caplog):
    ingest = Ingest(store, lambda: None)

    def fail():
        raise sqlite3.OperationalError("database or disk is full")

    entered, go_on = threading.Event(), threading.Event()
    first = ingest.submit(lambda: (entered.set(), go_on.wait()))
    assert entered.wait(timeout=30)
    futures = [ingest.submit(job) for job in (lambda: insert(store, "a"), fail)]
    go_on.set()
    first.result(timeout=30)
    for future in futures:
        with pytest.raises(
            NotStored, match=r"^the file cannot be written: database or disk is full$"
        ):
            future.result(timeout=30)
    ingest.submit(lambda: insert(store, "b")).result(timeout=30)  # it goes on
    ingest.close()
    assert names(store) == ["b"]
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.message == "What was received could not be stored"


def test_job_given_up_before_its_turn_is_not_run(store):
    ingest = Ingest(store, lambda: None)
    entered, go_on = threading.Event(), threading.Event()
    first = ingest.submit(lambda: (entered.set(), go_on.wait()))
    assert entered.wait(timeout=30)
    given_up = ingest.submit(lambda: insert(store, "given up"))
    assert given_up.cancel()
    go_on.set()
    first.result(timeout=30)
    ingest.close()
    assert names(store) == []


def test_close_stores_what_was_submitted(store):
    ingest = Ingest(store, lambda: None)
    futures = [ingest.submit(lambda n=n: insert(store, f"{n:04}")) for n in range(1200)]
    ingest.close()
    assert all(future.done() for future in futures)
    assert len(names(store)) == 1200


def test_it_prunes_without_being_asked(monkeypatch):
    monkeypatch.setattr(ingest_module, "_PRUNE_SECONDS", 0.05)
    pruned = threading.Semaphore(0)
    store = Store(None, keep_seconds=3600, max_bytes=2**30)
    monkeypatch.setattr(store, "prune", pruned.release)
    ingest = Ingest(store, lambda: None)
    for _ in range(3):
        assert pruned.acquire(timeout=30)
    ingest.close()
    store.close()
