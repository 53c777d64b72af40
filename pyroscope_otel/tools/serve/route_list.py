"""Reads the routes with the totals of their requests, and the durations of one route."""

from __future__ import annotations

import itertools
import json
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from pyroscope_otel.tools.serve.queries import profiler
from pyroscope_otel.tools.serve.refusal import Refused
from pyroscope_otel.tools.serve.schema import from_key

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

__all__ = ("durations", "route_names", "routes")

_BARS = 24


def route_names(db: sqlite3.Connection, service: str | None) -> dict[str, Any]:
    """Return the routes of one service or all, without totals, which is much faster."""
    rows = db.execute(
        "SELECT DISTINCT service, route FROM requests"
        " WHERE start_ns IS NOT NULL AND (? IS NULL OR service = ?) ORDER BY service, route",
        (service, service),
    )
    return {"routes": [{"service": name, "route": route} for name, route in rows]}


def routes(db: sqlite3.Connection, service: str | None) -> dict[str, Any]:
    """Return the routes of one service or all, with the totals of their requests."""
    # Optimization: one row for each route, with all of its durations. Fetching each request took
    # five times the CPU time, and longer still while data arrived: SQLite releases the GIL for
    # each row, and the threads that store data take it.
    rows = db.execute(
        "SELECT service, route, COUNT(*), SUM(error), TOTAL(cpu_ns), TOTAL(alloc_bytes),"
        " COUNT(alloc_bytes), json_group_array(duration_ns), id, MAX(duration_ns) FROM requests"
        " WHERE start_ns IS NOT NULL AND (? IS NULL OR service = ?)"
        " GROUP BY service, route ORDER BY service, route",
        (service, service),
    ).fetchall()
    # SQLite takes the id from the row with the MAX, as there is no other MAX or MIN.
    profiles = _profiles(db, [slowest for *_, slowest, _ in rows])
    return {"routes": [_route(row, profiles) for row in rows]}


def _route(row: tuple[Any, ...], profiles: dict[int, str]) -> dict[str, Any]:
    name, route, requests, errors, cpu_ns, alloc_bytes, with_memory, durations, slowest, _ = row
    return {
        "service": name,
        "route": route,
        "requests": requests,
        "errors": errors,
        **_spread(sorted(json.loads(durations))),
        "slowest": profiles[slowest],
        "cpu_ns": round(cpu_ns),
        "alloc_bytes": round(alloc_bytes) if with_memory else None,
    }


def _spread(ordered: Sequence[int]) -> dict[str, int]:
    return {
        "mean_duration_ns": round(sum(ordered) / len(ordered)),
        "p50_duration_ns": _percentile(ordered, 50),
        "p95_duration_ns": _percentile(ordered, 95),
        "max_duration_ns": ordered[-1],
    }


def _percentile(ordered: Sequence[int], percent: int) -> int:
    """Return the percentile of sorted values, by the nearest-rank method."""
    return ordered[-(-len(ordered) * percent // 100) - 1]


def _profiles(db: sqlite3.Connection, rows: list[int]) -> dict[int, str]:
    found = db.execute(
        "SELECT id, profile_id FROM requests WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(rows),),
    )
    return {row_id: from_key(key) for row_id, key in found}


def durations(db: sqlite3.Connection, service: str, route: str) -> dict[str, Any]:
    """Return the histogram of a route's durations, and what is known about its profiler.

    The bounds of the bars are a geometric series.

    Raises:
        Refused: With 404 if no request of the route is stored.
    """
    in_all, failed, slowest, _ = db.execute(
        "SELECT json_group_array(duration_ns), json_group_array(duration_ns) FILTER (WHERE error),"
        " id, MAX(duration_ns) FROM requests"
        " WHERE start_ns IS NOT NULL AND service = ? AND route = ?",
        (service, route),
    ).fetchone()
    ordered, errors = sorted(json.loads(in_all)), sorted(json.loads(failed))
    if not ordered:
        raise Refused(404, f"no request of {route} of {service} is stored")
    edges = _edges(max(1, ordered[0]), ordered[-1])
    edges[0] = 0
    return {
        **_spread(ordered),
        "requests": len(ordered),
        "slowest": _profiles(db, [slowest])[slowest],
        "bars": [
            {
                "from_ns": low,
                "to_ns": high,
                "requests": _within(ordered, low, high),
                "errors": _within(errors, low, high),
            }
            for low, high in itertools.pairwise(edges)
        ],
        "profiler": profiler(db, service),
    }


def _within(ordered: Sequence[int], low: int, high: int) -> int:
    """Return how many of the sorted values are from `low` up to, but not including, `high`."""
    return bisect_left(ordered, high) - bisect_left(ordered, low)


def _edges(least: int, most: int) -> list[int]:
    """Return the bounds of the bars: strictly increasing integers."""
    # Each bound is at least a tenth larger. Otherwise, noise would spread equal durations.
    factor = max(1.1, ((most + 1) / least) ** (1 / _BARS))
    edges = [least]
    while len(edges) == 1 or edges[-1] <= most:
        edges.append(max(edges[-1] + 1, round(edges[-1] * factor)))
    return edges
