"""Serves `GET /api/...`: JSON for the page and for scripts."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from starlette.responses import Response, StreamingResponse

from pyroscope_otel.tools.serve import flame, queries
from pyroscope_otel.tools.serve.measures import ALLOC_OBJECTS, ALLOC_SPACE, CPU, measure
from pyroscope_otel.tools.serve.pprof_file import to_pprof
from pyroscope_otel.tools.serve.refusal import Refused
from pyroscope_otel.tools.serve.request_list import requests
from pyroscope_otel.tools.serve.route_list import durations, route_names, routes
from pyroscope_otel.tools.serve.source import CannotShow, is_local, measured_lines, shown_lines

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from pyroscope_otel.tools.serve.events import Changes
    from pyroscope_otel.tools.serve.measures import Measure
    from pyroscope_otel.tools.serve.source import Sources
    from pyroscope_otel.tools.serve.store import Store

__all__ = ("Api",)

_MAX_READERS = 2  # queries use the CPU, and a merged graph some memory
_MAX_FOLLOWERS = 64
_CHANGE_SECONDS = 1.0
_HEARTBEAT_SECONDS = 15.0


class Api:
    """The endpoints. Each request reads on its own thread and connection.

    Args:
        store: The store to read from.
        changes: The changes that `/api/events` reports.
        sources: The source files that may be shown.
        version: The version of the package.
        otlp_port: The port for traces.
    """

    def __init__(
        self, store: Store, changes: Changes, sources: Sources, *, version: str, otlp_port: int
    ) -> None:
        self._sources = sources
        self._otlp_port = otlp_port
        self._store = store
        self._changes = changes
        self._version = version
        self._readers = anyio.CapacityLimiter(_MAX_READERS)
        self._followers = 0

    async def status(self, _request: Request) -> Response:
        """GET /api/status."""
        bound = {"keep_seconds": self._store.keep_seconds, "max_bytes": self._store.max_bytes}
        found = await self._read(queries.status)
        ours = {"version": self._version, "otlp_port": self._otlp_port}
        return _json({**ours, **found, "bound": bound})

    async def requests(self, request: Request) -> Response:
        """GET /api/requests."""
        return _json(await self._read(requests, request.query_params))

    async def request(self, request: Request) -> Response:
        """GET /api/requests/{profile_id}."""
        return _json(await self._read(queries.trace, request.path_params["profile_id"]))

    async def routes(self, request: Request) -> Response:
        """GET /api/routes."""
        query = request.query_params
        asked = route_names if query.get("names") == "1" else routes
        return _json(await self._read(asked, query.get("service")))

    async def durations(self, request: Request) -> Response:
        """GET /api/durations."""
        query = request.query_params
        if not (query.get("service") and query.get("route")):
            raise Refused(400, "durations need a service and a route")
        return _json(await self._read(durations, query["service"], query["route"]))

    async def flamegraph(self, request: Request) -> Response:
        """GET /api/flamegraph."""
        query = request.query_params
        kind = measure(query.get("type"))
        job: Any
        if query.get("profile_id"):
            job = (_flame_of_profile, kind, query["profile_id"])
        elif query.get("service") and query.get("route"):
            job = (_flame_of_route, kind, query["service"], query["route"])
        else:
            raise Refused(400, "a flame graph needs a profile_id, or a service and a route")
        return _ready_json(await self._read(*job))

    async def source(self, request: Request) -> Response:
        """GET /api/source."""
        query = request.query_params
        if not query.get("file") or "function" not in query:
            raise Refused(400, "source needs a function and a file")
        read = partial(_source, by_local=is_local(request))
        kind = measure(query.get("type"))
        return _json(await self._read(read, self._sources, query, kind))

    async def difference(self, request: Request) -> Response:
        """GET /api/difference."""
        query = request.query_params
        if not query.get("profile_id"):
            raise Refused(400, "a difference needs a profile_id")
        kind = measure(query.get("type"))
        job: Any
        if query.get("against"):
            job = (_difference_of_profiles, kind, query["profile_id"], query["against"])
        elif query.get("against_route") == "1":
            job = (_difference_to_route, kind, query["profile_id"])
        else:
            raise Refused(400, "a difference needs another profile_id, or against_route=1")
        return _ready_json(await self._read(*job))

    async def pprof(self, request: Request) -> Response:
        """GET /api/profiles/{profile_id}.pprof."""
        profile_id = request.path_params["profile_id"]
        kind = measure(request.query_params.get("type"))
        content = await self._read(_pprof, kind, profile_id)
        name = profile_id.lower() + ("" if kind is CPU else "-memory")
        disposition = f'attachment; filename="{name}.pprof"'
        return Response(
            content,
            media_type="application/octet-stream",
            headers={"Content-Disposition": disposition},
        )

    async def events(self, _request: Request) -> Response:
        """GET /api/events: changes, as server-sent events."""
        if self._followers >= _MAX_FOLLOWERS:
            raise Refused(503, "too many pages follow the changes")
        return StreamingResponse(self._events(), media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[str]:
        self._followers += 1
        try:
            async for changed in self._changes.follow(
                pause=_CHANGE_SECONDS, heartbeat=_HEARTBEAT_SECONDS
            ):
                if changed:
                    counts = json.dumps(await self._read(queries.changes))
                    yield f"event: change\ndata: {counts}\n\n"
                else:
                    yield ": still here\n\n"
        finally:
            self._followers -= 1

    async def _read(self, query: Callable[..., Any], *arguments: Any) -> Any:
        def read() -> Any:
            with self._store.reading() as connection:
                return query(connection, *arguments)

        return await anyio.to_thread.run_sync(read, limiter=self._readers)


def _json(content: Any) -> Response:
    return _ready_json(json.dumps(content, allow_nan=False))


def _ready_json(content: str) -> Response:
    return Response(content, media_type="application/json", headers={"Cache-Control": "no-store"})


def _source(
    db: sqlite3.Connection, sources: Sources, query: QueryParams, kind: Measure, *, by_local: bool
) -> dict[str, Any]:
    stacks, before_ns = _selected(db, query, kind)
    function, file = query["function"], query["file"]
    measured = measured_lines(stacks, (function, file), kind)
    if not measured:
        raise Refused(404, f"no sample has {function} of {file}")
    hottest = max(measured, key=lambda line: measured[line][f"total_{kind.suffix}"])
    answer = {"function": function, "file": file, "line": hottest, "type": kind.name}
    try:
        path, text = sources.read(
            file, before_ns=before_ns, last_line=max(measured), by_local=by_local
        )
    except CannotShow as why:
        lines = [{"number": line, "text": None, **measured[line]} for line in sorted(measured)]
        return {**answer, "path": None, "reason": str(why), "lines": lines}
    return {**answer, "path": path, "reason": None, "lines": shown_lines(measured, text, hottest)}


def _selected(
    db: sqlite3.Connection, query: QueryParams, kind: Measure
) -> tuple[list[tuple[flame.Frames, int, int]], int]:
    """Return the stacks of a profile or a route, and the start of the first request."""
    if query.get("profile_id"):
        queries.name_of_profile(db, query["profile_id"])
        start_ns, _ = queries.time_of_request(db, query["profile_id"])
        return queries.profile_stacks(db, query["profile_id"], kind), start_ns
    if query.get("service") and query.get("route"):
        names = (query["service"], query["route"])
        _, stacks = queries.route_stacks(db, *names, kind)
        return stacks, queries.first_of_route(db, *names)
    raise Refused(400, "source needs a profile_id, or a service and a route")


def _flame_of_profile(db: sqlite3.Connection, kind: Measure, profile_id: str) -> str:
    _, route = queries.name_of_profile(db, profile_id)
    return _flame(kind, route or profile_id, 1, queries.profile_stacks(db, profile_id, kind))


def _flame_of_route(db: sqlite3.Connection, kind: Measure, service: str, route: str) -> str:
    count, stacks = queries.route_stacks(db, service, route, kind)
    if not count:
        raise Refused(404, f"no request of {route} of {service} is stored")
    return _flame(kind, route, count, stacks)


def _flame(
    kind: Measure, title: str, requests: int, stacks: list[tuple[flame.Frames, int, int]]
) -> str:
    root = flame.grow((frames, value) for frames, value, _ in stacks)
    head = {
        "type": kind.name,
        "title": title,
        "requests": requests,
        "samples": sum(samples for _, _, samples in stacks),
        f"total_{kind.suffix}": round(root.total[0]),
    }
    return flame.flame_json(head, root, kind.suffix)


def _difference_of_profiles(
    db: sqlite3.Connection, kind: Measure, left_id: str, right_id: str
) -> str:
    _, left = queries.name_of_profile(db, left_id)
    _, right = queries.name_of_profile(db, right_id)
    return _difference(
        kind,
        (left or left_id, 1, queries.profile_stacks(db, left_id, kind)),
        (right or right_id, 1, queries.profile_stacks(db, right_id, kind)),
    )


def _difference_to_route(db: sqlite3.Connection, kind: Measure, profile_id: str) -> str:
    service, route = queries.name_of_profile(db, profile_id)
    count, others = queries.route_stacks(db, service, route, kind, but=profile_id)
    if not count:
        raise Refused(404, f"{route} of {service} has no other request to compare with")
    return _difference(
        kind,
        (route, 1, queries.profile_stacks(db, profile_id, kind)),
        (f"{route}, usually", count, others),
    )


_Side = tuple[str, int, list[tuple[flame.Frames, int, int]]]


def _difference(kind: Measure, left: _Side, right: _Side) -> str:
    root = flame.grow(_mean(left), _mean(right))
    heads = [
        {"title": title, f"total_{kind.suffix}": round(root.total[side]), "requests": count}
        for side, (title, count, _) in enumerate((left, right))
    ]
    head = {"type": kind.name, "left": heads[0], "right": heads[1]}
    return flame.difference_json(head, root, kind.suffix)


def _mean(side: _Side) -> list[tuple[flame.Frames, float]]:
    _, count, stacks = side
    return [(frames, value / count) for frames, value, _ in stacks]


def _pprof(db: sqlite3.Connection, kind: Measure, profile_id: str) -> bytes:
    queries.name_of_profile(db, profile_id)
    start_ns, duration_ns = queries.time_of_request(db, profile_id)
    types = [("samples", "count"), (CPU.name, CPU.unit)]
    stacks: list[tuple[flame.Frames, tuple[int, int]]]
    if kind is CPU:
        of_cpu = queries.profile_stacks(db, profile_id, CPU)
        stacks = [(frames, (samples, cpu_ns)) for frames, cpu_ns, samples in of_cpu]
    else:
        types = [(each.name, each.unit) for each in (ALLOC_OBJECTS, ALLOC_SPACE)]
        # Every allocation has objects and bytes, so both have the same stacks.
        stacks = queries.allocations(db, profile_id)
    return to_pprof(stacks, types, start_ns, duration_ns)
