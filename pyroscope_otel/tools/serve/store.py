"""Stores spans and samples in a file, and deletes the oldest when there is too much.

One thread writes (see ingest.py). Readers have their own connections.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pyroscope_otel.setup.findings.names import DOCTOR_SERVICE
from pyroscope_otel.tools.serve.samples import LARGEST_VALUE, ServiceRow
from pyroscope_otel.tools.serve.schema import ForeignFile, connect, create_or_check
from pyroscope_otel.tools.serve.text import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroscope_otel.pprof.pushes import Frame
    from pyroscope_otel.tools.serve.samples import ProfileRow, PushRows
    from pyroscope_otel.tools.serve.traces import Traces

__all__ = ("ForeignFile", "Store")

_SHARE = 20  # a twentieth of the rows is deleted at a time
_SWEEP_SECONDS = 600
_NO_NAME = "(no name)"
# NULL means that there are no values yet. A sum with NULL is the other value.
_SUMS = ", ".join(
    f"{name} = MIN(COALESCE({name} + excluded.{name}, excluded.{name}, {name}), {LARGEST_VALUE})"
    for name in ("cpu_ns", "samples", "alloc_bytes", "alloc_objects")
)


class Store:
    """Stores spans and samples in a SQLite file, bounded by age and size.

    Args:
        data: The file, or None for a temporary one, which `close` deletes.
        keep_seconds: How long a span or sample is kept after its arrival.
        max_bytes: The maximum size of the file.

    Raises:
        ForeignFile: The file is not the local server's, or another server has it open.
        OSError: The file cannot be opened.
    """

    def __init__(self, data: Path | None, *, keep_seconds: int, max_bytes: int) -> None:
        self.keep_seconds = keep_seconds
        self.max_bytes = max_bytes
        self._sweep_at = time.monotonic() + _SWEEP_SECONDS
        self._folder = None
        if data is None:
            self._folder = tempfile.TemporaryDirectory(prefix="pyroscope-otel-")
            data = Path(self._folder.name, "data.sqlite")
        self.path = data
        # Readable only by this user: it contains data of requests.
        self._lock = os.open(data, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._take()
            self._writer = self._open()
        except BaseException:
            os.close(self._lock)
            raise
        self._writer.execute("PRAGMA cache_size = -16384")
        # A temporary file need not survive a power failure.
        self._writer.execute(f"PRAGMA synchronous = {'OFF' if self._folder else 'FULL'}")

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ForeignFile(f"{self.path} is in use by another local server") from error

    def _open(self) -> sqlite3.Connection:
        try:
            writer = connect(self.path)
            try:
                create_or_check(writer, self.path)
            except BaseException:
                writer.close()
                raise
        except sqlite3.OperationalError as error:
            raise OSError(f"{self.path} cannot be used: {error}") from error
        return writer

    def close(self) -> None:
        """Close the file, and delete it if it is temporary."""
        self._writer.close()
        # Close this last, as closing a file drops SQLite's locks on it.
        os.close(self._lock)
        if self._folder is not None:
            self._folder.cleanup()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Provide a connection that sees one consistent state of the file."""
        with closing(connect(self.path, read_only=True)) as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Commit the changes of the block, all or none."""
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    @contextmanager
    def part(self) -> Iterator[None]:
        """Roll back only the changes of the block if it raises."""
        self._writer.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            # On a full disk, SQLite has already rolled back the whole transaction.
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK TO part")
                self._writer.execute("RELEASE part")
            raise
        self._writer.execute("RELEASE part")

    def add_traces(self, traces: Traces) -> None:
        """Add the spans of an export. A span that is already stored is replaced."""
        if traces.of_doctor:
            return
        now = _now()
        spans = [span for span in traces.spans if span.held is None]
        self._writer.executemany(
            "INSERT OR REPLACE INTO spans (trace_id, span_id, parent_span_id, name, kind, service,"
            " start_ns, duration_ns, error, detail, profile_id, arrived)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(*span[:11], now) for span in spans],
        )
        self._writer.executemany(
            "INSERT INTO requests (profile_id, service, route, trace_id, span_id, kind, start_ns,"
            " duration_ns, error, http_status, target, arrived)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (profile_id) DO UPDATE SET service = excluded.service,"
            " route = excluded.route,"
            " trace_id = excluded.trace_id, span_id = excluded.span_id, kind = excluded.kind,"
            " start_ns = excluded.start_ns, duration_ns = excluded.duration_ns,"
            " error = excluded.error, http_status = excluded.http_status, target = excluded.target",
            [
                (
                    *(s.profile_id, s.service, s.name or _NO_NAME),
                    *(s.trace_id, s.span_id, s.kind),
                    *(s.start_ns, s.duration_ns, s.error, s.http_status, s.target, now),
                )
                for s in spans
                if s.profile_id is not None
            ],
        )
        self._writer.executemany(
            # After its root span: a process exports spans in the order in which they end.
            "UPDATE requests SET held_until_ns = MAX(COALESCE(held_until_ns, 0), ?)"
            " WHERE profile_id = ?",
            [
                (span.start_ns + span.duration_ns, span.held)
                for span in traces.spans
                if span.held is not None
            ],
        )
        self._add_services({span.service: ServiceRow() for span in traces.spans}, now)
        self._writer.execute(
            "UPDATE totals SET trace_exports = trace_exports + 1, last_trace = ?", (now,)
        )

    def add_samples(self, push: PushRows) -> None:
        """Add the samples of a push to the stored ones."""
        now = _now()
        # Optimization: keyed by identity, which is much faster. The stacks of a push share their
        # frame objects.
        frame_ids: dict[int, int] = {}
        for key, profile in push.profiles.items():
            request_id = self._request_id(key, profile, now)
            self._writer.executemany(
                "INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (request_id, stack_id)"  # noqa: S608 -- ours
                f" DO UPDATE SET {_SUMS}",
                [
                    (
                        *(request_id, self._stack_id(row.frames, frame_ids)),
                        *(row.cpu_ns, row.samples, row.alloc_bytes, row.alloc_objects),
                    )
                    for row in profile.stacks.values()
                ],
            )
        self._add_services(push.services, now)
        if push.services.keys() != {DOCTOR_SERVICE}:
            self._writer.execute("UPDATE totals SET pushes = pushes + 1, last_push = ?", (now,))

    def _request_id(self, key: int, profile: ProfileRow, now: int) -> int:
        """Add to the totals of a profile, and return the id of its row."""
        rows = profile.stacks.values()
        sampled, allocates = profile.cpu_clock is not None, profile.allocates
        self._writer.execute(
            "INSERT INTO requests (profile_id, service, route, cpu_ns, samples, cpu_clock,"  # noqa: S608 -- ours
            " last_seen_ns, alloc_bytes, alloc_objects, arrived)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            f" ON CONFLICT (profile_id) DO UPDATE SET {_SUMS},"
            " cpu_clock = COALESCE(excluded.cpu_clock, cpu_clock),"
            " last_seen_ns = MAX(COALESCE(last_seen_ns, excluded.last_seen_ns),"
            " COALESCE(excluded.last_seen_ns, last_seen_ns))",
            (
                *(key, profile.service, profile.name),
                sum(row.cpu_ns for row in rows) if sampled else None,
                sum(row.samples for row in rows) if sampled else None,
                profile.cpu_clock,
                profile.last_seen_ns if sampled else None,
                sum(row.alloc_bytes for row in rows) if allocates else None,
                sum(row.alloc_objects for row in rows) if allocates else None,
                now,
            ),
        )
        query = "SELECT id FROM requests WHERE profile_id = ?"
        return int(self._writer.execute(query, (key,)).fetchone()[0])

    def _stack_id(self, stack: tuple[Frame, ...], frame_ids: dict[int, int]) -> int:
        for frame in stack:
            if id(frame) not in frame_ids:
                row = (shortened(frame.function), shortened(frame.file), frame.line)
                frame_ids[id(frame)] = self._id("frames", "name = ? AND file = ? AND line = ?", row)
        ids = json.dumps([frame_ids[id(frame)] for frame in stack], separators=(",", ":"))
        return self._id("stacks", "frames = ?", (ids,))

    def _id(self, table: str, where: str, row: tuple[str | int, ...]) -> int:
        """Return the id of a row, and add the row if it does not exist."""
        found = self._writer.execute(f"SELECT id FROM {table} WHERE {where}", row).fetchone()  # noqa: S608
        if found is None:
            marks = ", ".join("?" * len(row))
            added = self._writer.execute(f"INSERT INTO {table} VALUES (NULL, {marks})", row)  # noqa: S608
            return int(added.lastrowid or 0)
        return int(found[0])

    def _add_services(self, services: Mapping[str, ServiceRow], now: int) -> None:
        self._writer.executemany(
            "INSERT INTO services VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"  # noqa: S608 -- ours
            " arrived = excluded.arrived, memory = MAX(memory, excluded.memory),"
            " cpu_clock = COALESCE(excluded.cpu_clock, cpu_clock),"
            " samples_without_request = MIN(samples_without_request"
            f" + excluded.samples_without_request, {LARGEST_VALUE})",
            [
                (name, row.samples_without_request, row.memory, row.cpu_clock, now)
                for name, row in services.items()
            ],
        )

    def prune(self) -> None:
        """Delete rows that are too old, and the oldest rows while the file is too large."""
        self._delete_until(_now() - self.keep_seconds * 1000)
        if time.monotonic() >= self._sweep_at:
            self._sweep()
        while self.stored_bytes() > self.max_bytes:
            share = self._oldest_share()
            if share is None:
                return
            self._delete_until(*share)
            self._sweep()

    def stored_bytes(self) -> int:
        """Return how much of the file is in use."""
        return stored_bytes(self._writer)

    def _oldest_share(self) -> tuple[int, str, int] | None:
        """Return the arrival, table and id of the last row of the oldest share, or None.

        Of the tables' oldest shares, it is the older one.
        """
        shares = [
            (arrived, table, row_id)
            for table in ("spans", "requests")
            for arrived, row_id in self._writer.execute(
                f"SELECT arrived, id FROM {table} ORDER BY id LIMIT 1"  # noqa: S608 -- ours
                f" OFFSET (SELECT COUNT(*) FROM {table}) / {_SHARE}"
            )
        ]
        return min(shares, default=None)

    def _delete_until(self, cutoff: int, at_least: str = "", last: int = 0) -> None:
        """Delete the rows that arrived by then, and in one table at least those up to an id.

        If the clock was set back, rows can have later arrival times than the rows after them.
        Without the id, nothing would be deleted.
        """
        with self.writing():
            spans, requests = (
                max(self._last_until(table, cutoff), last if table == at_least else 0)
                for table in ("spans", "requests")
            )
            self._writer.execute("DELETE FROM spans WHERE id <= ?", (spans,))
            self._writer.execute("DELETE FROM samples WHERE request_id <= ?", (requests,))
            self._writer.execute("DELETE FROM requests WHERE id <= ?", (requests,))
            self._writer.execute("DELETE FROM services WHERE arrived <= ?", (cutoff,))

    def _last_until(self, table: str, cutoff: int) -> int:
        """Return the id of the last row that arrived by then. Ids rise with time."""
        query = f"SELECT id FROM {table} WHERE arrived > ? ORDER BY id LIMIT 1"  # noqa: S608 -- ours
        row = self._writer.execute(query, (cutoff,)).fetchone()
        return 2**63 - 1 if row is None else int(row[0]) - 1

    def _sweep(self) -> None:
        """Delete stacks and frames that no sample refers to. Reads all of them."""
        with self.writing():
            self._writer.execute(
                "DELETE FROM stacks WHERE id NOT IN (SELECT stack_id FROM samples)"
            )
            self._writer.execute(
                "DELETE FROM frames WHERE id NOT IN"
                " (SELECT value FROM stacks, json_each(stacks.frames))"
            )
        self._sweep_at = time.monotonic() + _SWEEP_SECONDS


def stored_bytes(connection: sqlite3.Connection) -> int:
    """Return how much of the file is in use."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _now() -> int:
    return time.time_ns() // 1_000_000
