"""Sends spans and samples to the local server, as an application and its agent do."""

from __future__ import annotations

import gzip
import itertools
import json
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from pyroscope_otel.pprof.messages import PprofProfile, PushRequest

PERIOD = 10_000_000  # nanoseconds for each sample

_ids = itertools.count(0xA000_0000_0000_0001)


def new_id() -> str:
    return f"{next(_ids):016x}"


@dataclass
class Span:
    """A span. With `stacks`, the stacks of its samples, it is a local root span.

    A stack is (frames from the root, number of samples); a frame is (function, file, line).
    """

    name: str
    service: str = "shop"
    start: float = 0.0  # milliseconds after the start of the trace
    milliseconds: float = 100.0
    stacks: list[tuple[list[tuple[str, str, int]], int]] | None = None
    parent: str | None = None
    kind: int = 2  # server
    error: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[str, float, dict[str, Any]]] = field(default_factory=list)
    clock: bool = False
    id: str = field(default_factory=new_id)


def send_request(url: str, *spans: Span, ago: float = 5.0, trace_id: str | None = None) -> str:
    """Send a trace and its samples; return the profile id of its first span."""
    # One moment for both: samples that are later than the span would have gone on after it.
    began = nanoseconds(ago)
    send_spans(url, *spans, began=began, trace_id=trace_id)
    for span in spans:
        if span.stacks:
            send_samples(
                url,
                span.stacks,
                service=span.service,
                span_id=span.id,
                began=began,
                clock=span.clock,
            )
    return spans[0].id


def nanoseconds(ago: float) -> int:
    """Return the time some seconds ago, in nanoseconds since the epoch."""
    return time.time_ns() - int(ago * 1e9)


def send_spans(
    url: str, *spans: Span, began: int | None = None, trace_id: str | None = None
) -> None:
    """Send a trace that began at a time in nanoseconds (default: five seconds ago)."""
    began = nanoseconds(5) if began is None else began
    trace_id = trace_id or f"{next(_ids):032x}"
    services = dict.fromkeys(span.service for span in spans)
    body = {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes({"service.name": service})},
                "scopeSpans": [
                    {
                        "spans": [
                            _otlp(span, trace_id, began)
                            for span in spans
                            if span.service == service
                        ]
                    }
                ],
            }
            for service in services
        ]
    }
    _post(f"{url}/v1/traces", json.dumps(body).encode(), {"Content-Type": "application/json"})


def _otlp(span: Span, trace_id: str, began: int) -> dict[str, Any]:
    start = began + int(span.start * 1e6)
    roots = {} if span.stacks is None else {"pyroscope.profile.id": span.id}
    return {
        "traceId": trace_id,
        "spanId": span.id,
        "parentSpanId": span.parent or "",
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + int(span.milliseconds * 1e6)),
        "status": {} if span.error is None else {"code": 2, "message": span.error},
        "attributes": _attributes({**roots, **span.attributes}),
        "events": [
            {
                "name": name,
                "timeUnixNano": str(start + int(after * 1e6)),
                "attributes": _attributes(attributes),
            }
            for name, after, attributes in span.events
        ],
    }


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value},
        }
        for key, value in values.items()
    ]


def send_samples(  # noqa: PLR0913  the content of a push
    url: str,
    stacks: list[tuple[list[tuple[str, str, int]], int]],
    *,
    service: str = "shop",
    span_id: str | None = None,
    clock: bool = False,
    began: int | None = None,
) -> None:
    """Send samples as the agent does.

    Args:
        url: The URL of the server.
        stacks: As in `Span`.
        service: The service name.
        span_id: The profile id; None for samples without a request.
        clock: Send times as from the sampler Stack, which are no multiples of the period.
        began: The start of the profile, in nanoseconds (default: a minute ago).
    """
    strings = {"": 0}

    def string(text: str) -> int:
        return strings.setdefault(text, len(strings))

    locations: dict[tuple[str, str, int], int] = {}
    for stack, _ in stacks:
        for frame in stack:
            locations.setdefault(frame, len(locations) + 1)
    label = [{"key": string("span_id"), "str": string(span_id)}] if span_id else []
    profile = PprofProfile(
        sample_type=[{"type": string("cpu"), "unit": string("nanoseconds")}],
        function=[
            {"id": number, "name": string(name), "filename": string(file)}
            for (name, file, _), number in locations.items()
        ],
        location=[
            {"id": number, "line": [{"function_id": number, "line": line}]}
            for (_, _, line), number in locations.items()
        ],
        sample=[
            {
                "location_id": [locations[frame] for frame in reversed(stack)],
                "value": [samples * PERIOD + (1000 if clock else 0)],
                "label": label,
            }
            for stack, samples in stacks
        ],
        time_nanos=nanoseconds(60) if began is None else began,
        duration_nanos=1_000_000_000,
        period=PERIOD,
        string_table=list(strings),
    )
    push = PushRequest(
        series=[
            {
                "labels": [{"name": "service_name", "value": service}],
                "samples": [{"raw_profile": profile.SerializeToString()}],
            }
        ]
    )
    _send_push(url, push)


def send_memory(
    url: str,
    stacks: list[tuple[list[tuple[str, str, int]], int, int]],
    *,
    service: str = "shop",
    span_id: str | None = None,
) -> None:
    """Send a memory profile as the agent does; an entry is a stack, objects and bytes."""
    kinds = ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]
    strings = ["", *kinds, "count", "bytes", "span_id", span_id or ""]
    profile = PprofProfile(sample_type=[{"type": 1 + at, "unit": 5 + at % 2} for at in range(4)])
    for stack, objects, size in stacks:
        sample = profile.sample.add(value=[objects, size, 0, 0])
        for name, file, line in reversed(stack):
            number = len(profile.location) + 1
            strings += [name, file]
            profile.function.add(id=number, name=len(strings) - 2, filename=len(strings) - 1)
            profile.location.add(id=number).line.add(function_id=number, line=line)
            sample.location_id.append(number)
        if span_id:
            sample.label.add(key=7, str=8)
    profile.string_table.extend(strings)
    labels = [
        {"name": "__name__", "value": "memory"},
        {"name": "service_name", "value": service},
    ]
    raw = [{"raw_profile": profile.SerializeToString()}]
    _send_push(url, PushRequest(series=[{"labels": labels, "samples": raw}]))


def _send_push(url: str, push: Any) -> None:
    _post(
        f"{url}/push.v1.PusherService/Push",
        gzip.compress(push.SerializeToString(), mtime=0),
        {"Content-Type": "application/proto", "Content-Encoding": "gzip"},
    )


def _post(url: str, body: bytes, headers: dict[str, str]) -> None:
    request = urllib.request.Request(url, body, headers)  # noqa: S310  the local server
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  same
        assert answer.status == 200
