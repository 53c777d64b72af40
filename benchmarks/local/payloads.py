"""Request bodies with ids that are overwritten in place, so that senders use little CPU."""

from __future__ import annotations

import os
import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from pyroscope_otel.pprof.messages import PprofProfile, PushRequest

_TRACE_ID = b"T" * 16
_SPAN_ID = b"S" * 8
_CHILD_IDS = (b"c" * 8, b"d" * 8)
_START = 0x1111_1111_1111_1111
_END = _START + 50_000_000
ROUTES = [f"GET /route-{number:02}/{{item}}" for number in range(20)]


class Exports:
    """Makes exports, each with one request: a local root and two children."""

    def __init__(self) -> None:
        self._templates = [_export(route) for route in ROUTES]
        self._count = 0

    def __call__(self) -> tuple[bytes, str]:
        """Return a body and the profile id in it."""
        self._count += 1
        span_id = os.urandom(8)
        start = time.time_ns()
        body = self._templates[self._count % len(ROUTES)]
        for old, new in (
            (_TRACE_ID, os.urandom(16)),
            (_SPAN_ID.hex().encode(), span_id.hex().encode()),
            (_SPAN_ID, span_id),
            *((child, os.urandom(8)) for child in _CHILD_IDS),
            (_START.to_bytes(8, "little"), start.to_bytes(8, "little")),
            (_END.to_bytes(8, "little"), (start + 50_000_000).to_bytes(8, "little")),
        ):
            body = body.replace(old, new)
        return body, span_id.hex()


def _export(route: str) -> bytes:
    def pair(key: str, value: str) -> dict[str, object]:
        return {"key": key, "value": {"string_value": value}}

    times = {"start_time_unix_nano": _START, "end_time_unix_nano": _END}
    root = Span(
        trace_id=_TRACE_ID,
        span_id=_SPAN_ID,
        name=route,
        kind=Span.SPAN_KIND_SERVER,
        attributes=[
            pair("pyroscope.profile.id", _SPAN_ID.hex()),
            pair("http.request.method", "GET"),
            pair("url.path", route.removeprefix("GET ").replace("{item}", "garden-chair-4711")),
            pair("http.route", route.removeprefix("GET ")),
            pair("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) benchmark"),
            {"key": "http.response.status_code", "value": {"int_value": 200}},
        ],
        **times,
    )
    children = [
        Span(
            trace_id=_TRACE_ID,
            span_id=child,
            parent_span_id=_SPAN_ID,
            name="SELECT shop.items",
            kind=Span.SPAN_KIND_CLIENT,
            attributes=[
                pair("db.system", "postgresql"),
                pair("db.statement", "SELECT id, name, price FROM items WHERE cart = %s"),
            ],
            **times,
        )
        for child in _CHILD_IDS
    ]
    resource = {"attributes": [pair("service.name", "shop")]}
    return ExportTraceServiceRequest(
        resource_spans=[{"resource": resource, "scope_spans": [{"spans": [root, *children]}]}]
    ).SerializeToString()


def push(profile_ids: list[str], service: str) -> bytes:
    """Return the body of a push with a CPU and a memory sample of each profile, 40 frames deep."""
    cpu = _profile(profile_ids, {"cpu": "nanoseconds"}, [10_000_000], 10_000_000)
    memory = {name: unit for what in ("alloc", "inuse") for name, unit in _kinds(what)}
    return PushRequest(
        series=[
            {
                "labels": [
                    {"name": "__name__", "value": name},
                    {"name": "service_name", "value": service},
                ],
                "samples": [{"raw_profile": profile}],
            }
            for name, profile in (
                ("process_cpu", cpu),
                ("memory", _profile(profile_ids, memory, [12, 600_000, 3, 80_000], 524_288)),
            )
        ]
    ).SerializeToString()


def _kinds(what: str) -> list[tuple[str, str]]:
    return [(f"{what}_objects", "count"), (f"{what}_space", "bytes")]


def _profile(
    profile_ids: list[str], types: dict[str, str], values: list[int], period: int
) -> bytes:
    strings = ["", "span_id", "span_name", ROUTES[0]]
    profile = PprofProfile(period=period, time_nanos=time.time_ns())
    for name, unit in types.items():
        profile.sample_type.add(type=len(strings), unit=len(strings) + 1)
        strings += [name, unit]
    for number in range(60):
        strings += [f"Handler{number}.step_{number}", f"/srv/shop/package/module_{number}.py"]
        name = len(strings) - 2
        profile.function.add(id=number + 1, name=name, filename=name + 1)
        profile.location.add(id=number + 1).line.add(function_id=number + 1, line=number * 7 + 3)
    for number, profile_id in enumerate(profile_ids):
        strings.append(profile_id)
        leaves = [41 + (number + step) % 20 for step in range(5)]
        sample = profile.sample.add(location_id=[*leaves, *range(35, 0, -1)], value=values)
        sample.label.add(key=1, str=len(strings) - 1)
        sample.label.add(key=2, str=3)
    profile.string_table.extend(strings)
    return profile.SerializeToString()
