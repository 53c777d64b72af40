"""The database file: which files are accepted, transactions, and what is pruned."""

import contextlib
import itertools
import sqlite3
import stat

import pytest

from pyroscope_otel.tools.serve import ForeignFile, schema, store
from pyroscope_otel.tools.serve.samples import decode_samples
from pyroscope_otel.tools.serve.store import Store
from pyroscope_otel.tools.serve.traces import decode_traces
from tests.tools.serve.exports import MS, export, push, span

STACK = [("main", "/srv/app.py", 1), ("work", "/srv/app.py", 2)]
PLENTY = {"keep_seconds": 3600, "max_bytes": 2**30}


@pytest.fixture
def clock(monkeypatch):
    """The store's clock, in milliseconds."""

    class Clock:
        now = 1_000_000

    monkeypatch.setattr(store, "_now", lambda: Clock.now)
    return Clock


def add(stored, *spans, samples=(), service="shop", period=10 * MS):
    with stored.writing():
        if spans:
            body = export(*spans, service=service)
            stored.add_traces(decode_traces(body, max_bytes=2**30, gzipped=False, as_json=False))
        if samples:
            body = push(samples, service=service, period=period)
            stored.add_samples(decode_samples(body, max_bytes=2**30, gzipped=False))


def counts(stored):
    names = ("spans", "requests", "samples", "stacks", "frames", "services")
    with stored.reading() as db:
        return {
            name: db.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0]  # noqa: S608
            for name in names
        }


# Accepted files


def test_temporary_file_is_deleted_at_the_end():
    stored = Store(None, **PLENTY)
    folder = stored.path.parent
    add(stored, span())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    stored.close()
    assert not folder.exists()


def test_file_is_kept_and_readable_only_by_its_owner(tmp_path):
    path = tmp_path / "data"
    stored = Store(path, **PLENTY)
    add(stored, span(), samples=[("00000000000000ab", STACK, 10)])
    stored.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    stored = Store(path, **PLENTY)
    assert counts(stored) == {
        "spans": 1,
        "requests": 2,
        "samples": 1,
        "stacks": 1,
        "frames": 2,
        "services": 1,
    }
    stored.close()


def test_file_in_use_is_refused(tmp_path):
    path = tmp_path / "data"
    stored = Store(path, **PLENTY)
    with pytest.raises(ForeignFile, match=f"^{path} is in use by another local server$"):
        Store(path, **PLENTY)
    add(stored, span())  # and continues
    stored.close()
    Store(path, **PLENTY).close()


def test_file_that_is_not_a_database_is_refused_unchanged(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 100)
    message = f"^{path} is not an SQLite file, so the local server did not make it$"
    with pytest.raises(ForeignFile, match=message):
        Store(path, **PLENTY)
    assert path.read_text() == "dear diary, " * 100
    assert list(tmp_path.iterdir()) == [path]


def test_database_of_another_program_is_refused_unchanged(tmp_path):
    path = tmp_path / "data"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE precious (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ForeignFile, match=f"^{path} was not made by the local server$"):
        Store(path, **PLENTY)
    assert path.read_bytes() == before


def test_file_of_another_version_is_refused(tmp_path):
    path = tmp_path / "data"
    Store(path, **PLENTY).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    message = (
        f"^{path} has version 99 of the local server's tables, but this server needs "
        "version 3. Move it away, or use the version of pyroscope-otel that made it$"
    )
    with pytest.raises(ForeignFile, match=message):
        Store(path, **PLENTY)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 3")
    connection.close()
    Store(path, **PLENTY).close()  # the refused attempt left no lock


def test_file_locked_by_another_program(tmp_path, monkeypatch):
    path = tmp_path / "data"
    Store(path, **PLENTY).close()
    without_waiting_for_locks(monkeypatch)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match=f"^{path} cannot be used: database is locked$"):
            Store(path, **PLENTY)
    Store(path, **PLENTY).close()


def test_new_file_that_cannot_be_written(tmp_path, monkeypatch):
    path = tmp_path / "data"
    without_waiting_for_locks(monkeypatch)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # readable, and empty
        with pytest.raises(OSError, match=f"^{path} cannot be used: database is locked$"):
            Store(path, **PLENTY)
    Store(path, **PLENTY).close()


def without_waiting_for_locks(monkeypatch):
    """Fail at once if another program has a lock."""

    def connect(path, **options):
        connection = schema.connect(path, **options)
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    monkeypatch.setattr(store, "connect", connect)


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        Store(tmp_path / "missing" / "data", **PLENTY)


def test_commits_to_a_kept_file_are_durable(tmp_path):
    """With FULL, a power cut loses nothing. With NORMAL it would lose the last commits."""
    kept = Store(tmp_path / "data", **PLENTY)
    temporary = Store(None, **PLENTY)
    levels = [s._writer.execute("PRAGMA synchronous").fetchone()[0] for s in (kept, temporary)]
    assert levels == [2, 0]
    kept.close()
    temporary.close()


# Transactions


def test_failing_part_leaves_nothing_and_the_rest_is_stored():
    stored = Store(None, **PLENTY)
    with stored.writing():
        with contextlib.suppress(ZeroDivisionError), stored.part():
            _add_in_place(stored, span("lost"))
            raise ZeroDivisionError
        with stored.part():
            _add_in_place(stored, span("kept"))
    with stored.reading() as db:
        assert db.execute("SELECT name FROM spans").fetchall() == [("kept",)]
    stored.close()


def test_full_disk_is_reported_as_such():
    """SQLite rolls back the whole transaction, with the savepoint of the part."""
    stored = Store(None, **PLENTY)
    (pages,) = stored._writer.execute("PRAGMA page_count").fetchone()
    stored._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    with (
        pytest.raises(sqlite3.OperationalError, match=r"^database or disk is full$"),
        stored.writing(),
        stored.part(),
    ):
        _add_in_place(stored, *(span(values={"filler": "x" * 16_000}) for _ in range(10)))
    stored._writer.execute("PRAGMA max_page_count = 1000000")
    add(stored, span())  # and continues
    assert counts(stored)["spans"] == 1
    stored.close()


def _add_in_place(stored, *spans):
    stored.add_traces(decode_traces(export(*spans), max_bytes=2**30, gzipped=False, as_json=False))


def test_failing_transaction_leaves_nothing():
    stored = Store(None, **PLENTY)
    with contextlib.suppress(ZeroDivisionError), stored.writing():
        _add_in_place(stored, span())
        raise ZeroDivisionError
    assert counts(stored)["spans"] == 0
    add(stored, span())
    assert counts(stored)["spans"] == 1
    stored.close()


# Pruning


def test_old_data_is_pruned(clock):
    stored = Store(None, keep_seconds=60, max_bytes=2**30)
    add(stored, span("old"), samples=[("00000000000000ab", STACK, 10)], service="then")
    clock.now += 60_000
    add(stored, span("new"), samples=[("00000000000000cd", STACK, 10)], service="now")
    stored.prune()
    with stored.reading() as db:
        assert db.execute("SELECT name FROM spans").fetchall() == [("new",)]
        assert db.execute("SELECT service FROM requests").fetchall() == [("now",), ("now",)]
        assert db.execute("SELECT name FROM services").fetchall() == [("now",)]
    assert counts(stored)["samples"] == 1
    clock.now += 60_000
    stored.prune()
    assert counts(stored)["spans"] == counts(stored)["requests"] == counts(stored)["samples"] == 0
    stored.close()


def test_newer_data_is_not_pruned(clock):
    stored = Store(None, keep_seconds=60, max_bytes=2**30)
    add(stored, span(), samples=[("00000000000000ab", STACK, 10)])
    before = counts(stored)
    clock.now += 59_999
    stored.prune()
    assert counts(stored) == before
    stored.close()


def test_oldest_data_is_pruned_while_the_file_is_too_large(clock):
    stored = Store(None, keep_seconds=10**6, max_bytes=2**20)
    for number in range(100):
        clock.now += 1
        stack = [(f"f{number}", "/srv/app.py", line) for line in range(50)]
        content = span(f"{number}", values={"filler": "x" * 16_000})
        add(stored, content, samples=[(content.span_id.hex(), stack, 10)])
        stored.prune()
        assert stored.stored_bytes() <= 2**20
    with stored.reading() as db:
        names = [int(name) for (name,) in db.execute("SELECT name FROM spans ORDER BY id")]
        used = {row[0] for row in db.execute("SELECT stack_id FROM samples")}
        there = {row[0] for row in db.execute("SELECT id FROM stacks")}
    assert names == list(range(names[0], 100))
    assert 20 < len(names) < 80
    assert counts(stored)["requests"] == len(names)
    assert used == there
    assert counts(stored)["frames"] == 50 * len(names)
    stored.close()


def test_oldest_data_is_pruned_even_if_the_clock_was_set_back(clock):
    stored = Store(None, keep_seconds=10**6, max_bytes=2**20)
    for number in range(100):
        clock.now -= 1
        add(stored, span(f"{number}", values={"filler": "x" * 16_000}))
        prune_within_bounds(stored)
        assert stored.stored_bytes() <= 2**20
    with stored.reading() as db:
        names = [int(name) for (name,) in db.execute("SELECT name FROM spans ORDER BY id")]
    assert names == list(range(names[0], 100))
    assert 20 < len(names) < 80
    stored.close()


def prune_within_bounds(stored):
    """Prune; raise OperationalError instead of running forever."""
    steps = itertools.count()
    stored._writer.set_progress_handler(lambda: next(steps) > 10_000, 1000)
    stored.prune()
    stored._writer.set_progress_handler(None, 0)


def test_pruning_ends_if_the_empty_file_is_too_large():
    """The file cannot be smaller than its empty tables."""
    stored = Store(None, keep_seconds=60, max_bytes=1)
    add(stored, span())
    stored.prune()
    assert counts(stored)["spans"] == 0
    stored.close()


def test_stacks_are_stored_once():
    stored = Store(None, **PLENTY)
    deeper = [*STACK, ("leaf", "/srv/app.py", 3)]
    add(stored, samples=[("00000000000000ab", STACK, 10), ("00000000000000cd", STACK, 10)])
    add(stored, samples=[("00000000000000ab", STACK, 10), ("00000000000000cd", deeper, 10)])
    found = counts(stored)
    assert (found["stacks"], found["frames"], found["samples"]) == (2, 3, 3)
    stored.close()


def test_sums_are_limited_to_the_largest_value():
    """Above it, browsers would round sums; far above it, SQLite would fail."""
    stored = Store(None, **PLENTY)
    for _ in range(2):
        for profile_id in ("00000000000000ab", None):
            add(stored, samples=[(profile_id, STACK, 2**53 // MS)], period=1)
    with stored.reading() as db:
        assert db.execute("SELECT cpu_ns, samples FROM samples").fetchall() == [(2**53, 2**53)]
        assert db.execute("SELECT cpu_ns, samples FROM requests").fetchall() == [(2**53, 2**53)]
        assert db.execute("SELECT samples_without_request FROM services").fetchall() == [(2**53,)]
    stored.close()
