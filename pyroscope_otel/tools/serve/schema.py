"""The tables of the local server's file, and who may open it.

Ids of 8 bytes (spans, profiles) are kept as SQLite's signed integers, which makes
them keys that cost nothing. Points in time are nanoseconds since the epoch where
they come from a span, and milliseconds where they are ours (`arrived`): what is
oldest is decided by when it came in, since the clocks of senders may be wrong.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ("ForeignFile", "connect", "create_or_check", "from_key", "to_key")

_APPLICATION_ID = 0x5059_4F54  # "PYOT": tells our files from other SQLite files
_VERSION = 2

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

-- A profile id each: what its local root span says, and what its samples sum up
-- to. Either may come first, or alone; what has not come is NULL. The root spans
-- are here once more, narrow, for listing and summing up.
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, -- rises with `arrived`, so that samples are written side by side
    profile_id INTEGER NOT NULL UNIQUE,
    service TEXT NOT NULL,
    route TEXT NOT NULL, -- the root span's name; before it comes, the label span_name
    trace_id BLOB,
    span_id INTEGER,
    kind TEXT,
    start_ns INTEGER,
    duration_ns INTEGER,
    error INTEGER,
    http_status INTEGER,
    target TEXT, -- path and query of its URL
    cpu_ns INTEGER,
    samples INTEGER,
    cpu_clock INTEGER, -- whether cpu_ns was read from a clock; see samples.ServiceRow
    last_seen_ns INTEGER, -- when the last profile with CPU samples of it began
    alloc_bytes INTEGER,
    alloc_objects INTEGER,
    arrived INTEGER NOT NULL -- the first of it
);
-- With all that lists are filtered by, so that rows are only read to be shown.
CREATE INDEX requests_by_start ON requests (start_ns, id, duration_ns, error, route)
    WHERE start_ns IS NOT NULL;
CREATE INDEX requests_of_service ON requests (service, start_ns, id, duration_ns, error)
    WHERE start_ns IS NOT NULL;
CREATE INDEX requests_of_route
    ON requests (service, route, start_ns, id, duration_ns, error, cpu_ns, alloc_bytes)
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
    memory INTEGER NOT NULL, -- whether it is profiled
    cpu_clock INTEGER,
    arrived INTEGER NOT NULL -- the last of it
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
    """The file is none of ours, or of another version."""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection for one thread at a time, without implicit transactions."""
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30)


def create_or_check(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in an empty file; refuse a file that has others.

    Raises:
        ForeignFile: The file is not SQLite, not ours, or of another version.
        sqlite3.OperationalError: It cannot be read or written.
    """
    try:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        raise  # it may be ours, but locked
    except sqlite3.DatabaseError as error:
        raise ForeignFile(
            f"{path} is no SQLite file, so none that the local server has made"
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
            f"{path} has version {version} of the local server's tables, this is for version "
            f"{_VERSION}. Move it away, or use the version of pyroscope-otel that made it"
        )


def to_key(identity: bytes) -> int:
    """Return an id of 8 bytes as SQLite's integer."""
    return int.from_bytes(identity, "big", signed=True)


def from_key(key: int) -> str:
    """Return the hex digits of an id."""
    return key.to_bytes(8, "big", signed=True).hex()
