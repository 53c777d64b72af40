"""Reads the routes with the totals of their requests, and the durations of one route."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyroscope_otel.tools.serve.queries import profiler
from pyroscope_otel.tools.serve.refusal import Refused
from pyroscope_otel.tools.serve.schema import from_key

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

__all__ = ("durations", "route_names", "routes")

_BARS = 24


@dataclass
class _Route:
    """The totals of a route's requests."""

    durations: list[int] = field(default_factory=list)
    errors: int = 0
    cpu_ns: int = 0
    alloc_bytes: int | None = None
    slowest: tuple[int, int] = (-1, 0)  # duration and row id


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
    found: dict[tuple[str, str], _Route] = defaultdict(_Route)
    rows = db.execute(
        "SELECT service, route, id, duration_ns, error, cpu_ns, alloc_bytes FROM requests"
        " WHERE start_ns IS NOT NULL AND (? IS NULL OR service = ?) ORDER BY service, route",
        (service, service),
    )
    for name, route, row_id, duration_ns, error, cpu_ns, alloc_bytes in rows:
        sums = found[name, route]
        sums.durations.append(duration_ns)
        sums.errors += error
        sums.cpu_ns += cpu_ns or 0
        if alloc_bytes is not None:
            sums.alloc_bytes = (sums.alloc_bytes or 0) + alloc_bytes
        sums.slowest = max(sums.slowest, (duration_ns, row_id))
    profiles = _profiles(db, [sums.slowest[1] for sums in found.values()])
    return {
        "routes": [
            {
                "service": name,
                "route": route,
                "requests": len(sums.durations),
                "errors": sums.errors,
                **_spread(sums.durations),
                "slowest": profiles[sums.slowest[1]],
                "cpu_ns": sums.cpu_ns,
                "alloc_bytes": sums.alloc_bytes,
            }
            for (name, route), sums in found.items()
        ]
    }


def _spread(values: list[int]) -> dict[str, int]:
    ordered = sorted(values)
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
    rows = db.execute(
        "SELECT duration_ns, error, id FROM requests"
        " WHERE start_ns IS NOT NULL AND service = ? AND route = ? ORDER BY duration_ns, id",
        (service, route),
    ).fetchall()
    if not rows:
        raise Refused(404, f"no request of {route} of {service} is stored")
    edges = _edges(max(1, rows[0][0]), rows[-1][0])
    bars = [
        {"from_ns": low, "to_ns": high, "requests": 0, "errors": 0}
        for low, high in itertools.pairwise(edges)
    ]
    bars[0]["from_ns"] = 0
    at = 0
    for duration_ns, error, _ in rows:
        while duration_ns >= edges[at + 1]:
            at += 1
        bars[at]["requests"] += 1
        bars[at]["errors"] += error
    return {
        **_spread([row[0] for row in rows]),
        "requests": len(rows),
        "slowest": _profiles(db, [rows[-1][2]])[rows[-1][2]],
        "bars": bars,
        "profiler": profiler(db, service),
    }


def _edges(least: int, most: int) -> list[int]:
    """Return the bounds of the bars: strictly increasing integers."""
    # Each bound is at least a tenth larger. Otherwise, noise would spread equal durations.
    factor = max(1.1, ((most + 1) / least) ** (1 / _BARS))
    edges = [least]
    while len(edges) == 1 or edges[-1] <= most:
        edges.append(max(edges[-1] + 1, round(edges[-1] * factor)))
    return edges
