"""The tables of the local server's file, and the check of the file's version.

8-byte ids (spans, profiles) are stored as signed integers, SQLite's cheapest keys. Times from
spans are in nanoseconds since the epoch. `arrived` is the server's own time in milliseconds. It
decides which data is oldest, as the senders' clocks may be wrong.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ("ForeignFile", "connect", "create_or_check", "from_key", "to_key")

_APPLICATION_ID = 0x5059_4F54  # "PYOT": marks the SQLite files of the local server
_VERSION = 3

_TABLES = """
CREATE TABLE spans (
    id INTEGER PRIMARY KEY, -- rises with `arrived`
    trace_id BLOB NOT NULL,
    span_id INTEGER NOT NULL,
    parent_span_id INTEGER,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    service TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    duration_ns INTEGER NOT NULL,
    error INTEGER NOT NULL,
    detail TEXT NOT NULL, -- JSON: status message, attributes, events
    profile_id INTEGER,
    arrived INTEGER NOT NULL
);
CREATE UNIQUE INDEX spans_of_trace ON spans (trace_id, span_id);

-- One row for each profile id: the data of its local root span, and the totals of its
-- samples. Either may arrive first, or alone; the other columns are NULL until then. This
-- repeats the root spans in narrow rows, for lists and totals.
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, -- rises with `arrived`, so that samples are written side by side
    profile_id INTEGER NOT NULL UNIQUE,
    service TEXT NOT NULL,
    route TEXT NOT NULL, -- the root span's name; until that arrives, the label span_name
    trace_id BLOB,
    span_id INTEGER,
    kind TEXT,
    start_ns INTEGER,
    duration_ns INTEGER,
    error INTEGER,
    http_status INTEGER,
    target TEXT, -- path and query of the URL
    cpu_ns INTEGER,
    samples INTEGER,
    cpu_clock INTEGER, -- whether cpu_ns was read from a clock; see samples.ServiceRow
    last_seen_ns INTEGER, -- the start of its last upload window with CPU samples
    held_until_ns INTEGER, -- when it was let go, if that was later than its root span's end
    alloc_bytes INTEGER,
    alloc_objects INTEGER,
    arrived INTEGER NOT NULL -- when the first part arrived
);
-- Indexes with all columns that lists filter by, so that only rows to be shown are read.
CREATE INDEX requests_by_start ON requests (start_ns, id, duration_ns, error, route)
    WHERE start_ns IS NOT NULL;
CREATE INDEX requests_of_service ON requests (service, start_ns, id, duration_ns, error)
    WHERE start_ns IS NOT NULL;
CREATE INDEX requests_of_route
    ON requests (service, route, start_ns, id, duration_ns, error, cpu_ns, alloc_bytes)
    WHERE start_ns IS NOT NULL;
-- The other orders of lists. A file of this version may lack them, which only costs time.
CREATE INDEX requests_by_duration ON requests (duration_ns, id) WHERE start_ns IS NOT NULL;
CREATE INDEX requests_by_cpu ON requests (COALESCE(cpu_ns, -1), id) WHERE start_ns IS NOT NULL;
CREATE INDEX requests_by_allocated ON requests (COALESCE(alloc_bytes, -1), id)
    WHERE start_ns IS NOT NULL;
CREATE INDEX requests_of_trace ON requests (trace_id) WHERE start_ns IS NOT NULL;

CREATE TABLE samples (
    request_id INTEGER NOT NULL,
    stack_id INTEGER NOT NULL,
    cpu_ns INTEGER NOT NULL,
    samples INTEGER NOT NULL,
    alloc_bytes INTEGER NOT NULL,
    alloc_objects INTEGER NOT NULL,
    PRIMARY KEY (request_id, stack_id)
) WITHOUT ROWID;

CREATE TABLE stacks (
    id INTEGER PRIMARY KEY,
    frames TEXT NOT NULL UNIQUE -- JSON: ids of frames, root first
);

CREATE TABLE frames (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    file TEXT NOT NULL,
    line INTEGER NOT NULL,
    UNIQUE (name, file, line)
);

CREATE TABLE services (
    name TEXT PRIMARY KEY,
    samples_without_request INTEGER NOT NULL,
    memory INTEGER NOT NULL, -- whether memory is profiled
    cpu_clock INTEGER,
    arrived INTEGER NOT NULL -- when the last part arrived
) WITHOUT ROWID;

CREATE TABLE totals (
    pushes INTEGER NOT NULL,
    trace_exports INTEGER NOT NULL,
    last_push INTEGER,
    last_trace INTEGER
);
INSERT INTO totals VALUES (0, 0, NULL, NULL);
"""


class ForeignFile(ValueError):  # noqa: N818 -- reads better where it is raised and caught
    """The file is not the local server's, is in use, or has another version."""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection without implicit transactions. Use it in one thread at a time."""
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30)


def create_or_check(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables in an empty file, or check the version of an existing one.

    Raises:
        ForeignFile: The file is not SQLite, not the local server's, or of another version.
        sqlite3.OperationalError: The file cannot be read or written.
    """
    try:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        raise  # the file may be valid, but locked
    except sqlite3.DatabaseError as error:
        raise ForeignFile(
            f"{path} is not an SQLite file, so the local server did not make it"
        ) from (error)
    if (application_id, version, tables) == (0, 0, 0):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(
            f"BEGIN IMMEDIATE; {_TABLES} PRAGMA application_id = {_APPLICATION_ID};"
            f"PRAGMA user_version = {_VERSION}; COMMIT;"
        )
    elif application_id != _APPLICATION_ID:
        raise ForeignFile(f"{path} was not made by the local server")
    elif version != _VERSION:
        raise ForeignFile(
            f"{path} has version {version} of the local server's tables, but this server needs "
            f"version {_VERSION}. Move it away, or use the version of pyroscope-otel that made it"
        )


def to_key(identity: bytes) -> int:
    """Return an 8-byte id as an integer for SQLite."""
    return int.from_bytes(identity, "big", signed=True)


def from_key(key: int) -> str:
    """Return an id from SQLite as hex digits."""
    return key.to_bytes(8, "big", signed=True).hex()
