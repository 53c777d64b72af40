"""Reads the data for the API from the store. Every function takes a reading connection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pyroscope_otel.setup.findings.names import DOCTOR_SERVICE
from pyroscope_otel.tools.serve.refusal import Refused
from pyroscope_otel.tools.serve.schema import from_key
from pyroscope_otel.tools.serve.store import stored_bytes
from pyroscope_otel.tools.serve.text import profile_key

if TYPE_CHECKING:
    import sqlite3

    from pyroscope_otel.tools.serve.flame import Frames
    from pyroscope_otel.tools.serve.measures import Measure

__all__ = (
    "REQUEST",
    "allocations",
    "as_request",
    "changes",
    "first_of_route",
    "name_of_profile",
    "profile_stacks",
    "profiler",
    "request",
    "route_stacks",
    "status",
    "time_of_request",
    "trace",
)

_MAX_SPANS = 2_000  # per trace
_NS_PER_MS = 1_000_000
_CPU_FROM = {None: None, 0: "samples", 1: "clock"}

REQUEST = """
id, profile_id, trace_id, span_id, service, route, kind, start_ns, duration_ns, cpu_ns,
    samples, cpu_clock, last_seen_ns, held_until_ns, alloc_bytes, alloc_objects, error,
    http_status, target
FROM requests WHERE start_ns IS NOT NULL AND
"""


def changes(db: sqlite3.Connection) -> dict[str, int]:
    """Return the numbers of requests and profiles."""
    requests, profiles = db.execute(
        "SELECT COUNT(start_ns), COUNT(cpu_ns) FROM requests"
    ).fetchone()
    return {"requests": requests, "profiles": profiles}


def status(db: sqlite3.Connection) -> dict[str, Any]:
    """Return what the file contains, in numbers."""
    pushes, trace_exports, last_push, last_trace = db.execute("SELECT * FROM totals").fetchone()
    services = db.execute(
        "SELECT name, samples_without_request FROM services ORDER BY name"
    ).fetchall()
    return {
        "spans": db.execute("SELECT COUNT(*) FROM spans").fetchone()[0],
        **changes(db),
        "samples_without_request": sum(count for _, count in services),
        "pushes": pushes,
        "trace_exports": trace_exports,
        "last_push_ms": last_push,
        "last_trace_ms": last_trace,
        "services": [name for name, _ in services if name != DOCTOR_SERVICE],
        "oldest_ms": min(_oldest(db), default=None),
        "stored_bytes": stored_bytes(db),
    }


def _oldest(db: sqlite3.Connection) -> list[int]:
    """Return the arrival times of the oldest span and the oldest request. Ids rise with time."""
    oldest = [
        db.execute(f"SELECT arrived FROM {table} ORDER BY id LIMIT 1").fetchone()  # noqa: S608 -- ours
        for table in ("spans", "requests")
    ]
    return [row[0] for row in oldest if row is not None]


def as_request(row: tuple[Any, ...]) -> dict[str, Any]:
    """Convert a row of `REQUEST` to a request of the API."""
    _, key, trace_id, span_id, service, route, kind, start_ns, *rest = row
    duration_ns, cpu_ns, samples, cpu_clock, last_seen_ns, held_until_ns, *rest = rest
    alloc_bytes, alloc_objects, error, http_status, target = rest
    return {
        "profile_id": from_key(key),
        "trace_id": trace_id.hex(),
        "span_id": from_key(span_id),
        "service": service,
        "route": route,
        "kind": kind,
        "start_ms": start_ns / _NS_PER_MS,
        "duration_ns": duration_ns,
        "held_ns": _held(start_ns, duration_ns, held_until_ns),
        "cpu_ns": cpu_ns,
        "samples": samples or 0,
        "cpu_from": _CPU_FROM[cpu_clock],
        "last_seen_ms": last_seen_ns / _NS_PER_MS if last_seen_ns else None,
        "alloc_bytes": alloc_bytes,
        "alloc_objects": alloc_objects,
        "status": "error" if error else "ok",
        "http_status": http_status,
        "target": target,
    }


def _held(start_ns: int, duration_ns: int, until_ns: int | None) -> int | None:
    if until_ns is None or until_ns <= start_ns + duration_ns:
        return None
    return until_ns - start_ns


def _key(profile_id: str) -> int:
    key = profile_key(profile_id)
    if key is None:
        raise Refused(400, "a profile id is 16 hex digits")
    return key


def request(db: sqlite3.Connection, profile_id: str) -> dict[str, Any]:
    """Return a request.

    Raises:
        Refused: With 404 if there is no such request.
    """
    row = db.execute(f"SELECT {REQUEST} profile_id = ?", (_key(profile_id),)).fetchone()
    if row is None:
        raise Refused(404, f"no request {profile_id} is stored")
    return as_request(row)


def trace(db: sqlite3.Connection, profile_id: str) -> dict[str, Any]:
    """Return a request with its whole trace and the profiles of the trace."""
    found = request(db, profile_id)
    trace_id = bytes.fromhex(found["trace_id"])
    spans = db.execute(
        "SELECT span_id, parent_span_id, name, kind, service, start_ns, duration_ns, error, detail,"
        " profile_id FROM spans WHERE trace_id = ? ORDER BY start_ns, id LIMIT ?",
        (trace_id, _MAX_SPANS + 1),
    ).fetchall()
    roots = db.execute(
        f"SELECT {REQUEST} trace_id = ? ORDER BY start_ns LIMIT ?", (trace_id, _MAX_SPANS)
    ).fetchall()
    kept = ("profile_id", "service", "route", "held_ns", "cpu_ns", "samples", "alloc_bytes")
    return {
        "request": found,
        "spans": [_span(row) for row in spans[:_MAX_SPANS]],
        "truncated": len(spans) > _MAX_SPANS,
        "profiles": [{name: as_request(row)[name] for name in kept} for row in roots],
        "profiler": profiler(db, found["service"]),
    }


def profiler(db: sqlite3.Connection, service: str) -> dict[str, Any]:
    """Return what the pushes of a service reveal about its profiler."""
    row = db.execute("SELECT memory, cpu_clock FROM services WHERE name = ?", (service,)).fetchone()
    memory, cpu_clock = row or (0, None)
    return {"memory": bool(memory), "cpu_from": _CPU_FROM[cpu_clock]}


def _span(row: tuple[Any, ...]) -> dict[str, Any]:
    span_id, parent, name, kind, service, start_ns, duration_ns, error, detail, profile = row
    return {
        "span_id": from_key(span_id),
        "parent_span_id": None if parent is None else from_key(parent),
        "name": name,
        "kind": kind,
        "service": service,
        "start_ms": start_ns / _NS_PER_MS,
        "duration_ns": duration_ns,
        "status": "error" if error else "ok",
        **json.loads(detail),
        "profile_id": None if profile is None else from_key(profile),
    }


def name_of_profile(db: sqlite3.Connection, profile_id: str) -> tuple[str, str]:
    """Return the service and route of a profile, from its spans or its samples.

    Raises:
        Refused: With 404 if there are neither.
    """
    row = db.execute(
        "SELECT service, route FROM requests WHERE profile_id = ?", (_key(profile_id),)
    ).fetchone()
    if row is None:
        raise Refused(404, f"no request and no samples of {profile_id} are stored")
    return str(row[0]), str(row[1])


def time_of_request(db: sqlite3.Connection, profile_id: str) -> tuple[int, int]:
    """Return the start and duration of a request in nanoseconds, or zeros without its span."""
    row = db.execute(
        "SELECT start_ns, duration_ns FROM requests WHERE profile_id = ?", (_key(profile_id),)
    ).fetchone()
    return (0, 0) if row is None else (row[0] or 0, row[1] or 0)


def first_of_route(db: sqlite3.Connection, service: str, route: str) -> int:
    """Return the start of the first stored request of a route, or 0 without one."""
    row = db.execute(
        "SELECT MIN(start_ns) FROM requests WHERE start_ns IS NOT NULL AND service = ?"
        " AND route = ?",
        (service, route),
    ).fetchone()
    return row[0] or 0


def profile_stacks(
    db: sqlite3.Connection, profile_id: str, measure: Measure
) -> list[tuple[Frames, int, int]]:
    """Return the stacks of a profile with their values and their number of CPU samples."""
    rows = db.execute(
        f"SELECT frames, samples.{measure.column}, samples.samples FROM requests"  # noqa: S608 -- ours
        " JOIN samples ON request_id = requests.id JOIN stacks ON stacks.id = stack_id"
        f" WHERE profile_id = ? AND samples.{measure.column} > 0",
        (_key(profile_id),),
    )
    return _with_frames(db, rows.fetchall())


def allocations(db: sqlite3.Connection, profile_id: str) -> list[tuple[Frames, tuple[int, int]]]:
    """Return the stacks of a profile with the numbers of allocated objects and bytes."""
    rows = db.execute(
        "SELECT frames, samples.alloc_objects, samples.alloc_bytes FROM requests"
        " JOIN samples ON request_id = requests.id JOIN stacks ON stacks.id = stack_id"
        " WHERE profile_id = ? AND samples.alloc_objects + samples.alloc_bytes > 0",
        (_key(profile_id),),
    )
    stacks = _with_frames(db, rows.fetchall())
    return [(frames, (objects, size)) for frames, objects, size in stacks]


def route_stacks(
    db: sqlite3.Connection, service: str, route: str, measure: Measure, *, but: str | None = None
) -> tuple[int, list[tuple[Frames, int, int]]]:
    """Return the number of requests of a route, and their merged stacks.

    Args:
        db: The connection.
        service: The service.
        route: The route: the name of the local root spans.
        measure: The measure of the values.
        but: The profile id of a request to exclude.
    """
    # By its row's id, which the index has: otherwise, each row of the route would be read.
    where = (
        "start_ns IS NOT NULL AND service = ? AND route = ?"
        " AND id IS NOT (SELECT id FROM requests WHERE profile_id = ?)"
    )
    values = (service, route, None if but is None else _key(but))
    (count,) = db.execute(f"SELECT COUNT(*) FROM requests WHERE {where}", values).fetchone()  # noqa: S608
    rows = db.execute(
        "SELECT frames, value, sums.samples FROM"  # noqa: S608 -- the condition is ours
        f" (SELECT stack_id, TOTAL(samples.{measure.column}) AS value,"
        " TOTAL(samples.samples) AS samples"
        f" FROM requests CROSS JOIN samples ON request_id = requests.id WHERE {where}"
        " GROUP BY stack_id) AS sums JOIN stacks ON stacks.id = stack_id WHERE value > 0",
        values,
    )
    return count, _with_frames(db, rows.fetchall())


def _with_frames(
    db: sqlite3.Connection, rows: list[tuple[str, float, float]]
) -> list[tuple[Frames, int, int]]:
    stacks = [(json.loads(ids), round(value), round(samples)) for ids, value, samples in rows]
    wanted = {frame_id for ids, _, _ in stacks for frame_id in ids}
    rows_of_frames = db.execute(
        "SELECT id, name, file, line FROM frames WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(wanted)),),
    )
    frames = {frame_id: (name, file, line) for frame_id, name, file, line in rows_of_frames}
    return [([frames[frame_id] for frame_id in ids], value, count) for ids, value, count in stacks]
