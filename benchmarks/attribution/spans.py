"""Reads the exported spans, and finds the local root of each request."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

FOLDER_VARIABLE = "ATTRIBUTION_SPANS"
ORDER = "shop.order"
PROFILE_ID = "pyroscope.profile.id"


def name_order(number: int) -> None:
    """Store the number of the order on the current span."""
    trace.get_current_span().set_attribute(ORDER, number)


class JsonLinesExporter(SpanExporter):
    """Appends each span to a file of the process in which it ended."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        path = Path(os.environ[FOLDER_VARIABLE], f"{os.getpid()}.jsonl")
        with path.open("a") as file:
            file.writelines(span.to_json(indent=None) + "\n" for span in spans)
        return SpanExportResult.SUCCESS


def read(folder: Path) -> list[dict[str, Any]]:
    """Read the spans of all processes. The field `process` tells which one exported a span."""
    return [
        json.loads(line) | {"process": path.stem}
        for path in folder.glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]


def profile_ids_by_order(spans: Iterable[dict[str, Any]]) -> dict[int, set[str]]:
    """Return the profile ids of each request. There should be exactly one.

    They come from the local roots above the spans that name the order, and from any other
    local roots with the same path.
    """
    by_id = {_key(span): span for span in spans}
    ids: dict[int, set[str]] = defaultdict(set)
    for span in by_id.values():
        root = _local_root(span, by_id)
        order = span["attributes"].get(ORDER, _order_in_path(span) if root is span else None)
        own_id = root["context"]["span_id"].removeprefix("0x")
        if order is not None and root["attributes"].get(PROFILE_ID) == own_id:
            ids[order].add(own_id)
    return ids


def process_by_order(spans: Iterable[dict[str, Any]]) -> dict[int, str]:
    """Return the process of each request that has a span with its order."""
    return {
        span["attributes"][ORDER]: span["process"] for span in spans if ORDER in span["attributes"]
    }


def _order_in_path(span: dict[str, Any]) -> int | None:
    attributes = span["attributes"]
    path = attributes.get("url.path") or attributes.get("http.target") or ""
    last = path.rpartition("/")[2]
    return int(last) if last.isdigit() else None


def _key(span: dict[str, Any]) -> tuple[str, str]:
    return span["context"]["trace_id"], span["context"]["span_id"]


def _local_root(span: dict[str, Any], by_id: dict[tuple[str, str], Any]) -> dict[str, Any]:
    while True:
        parent = by_id.get((span["context"]["trace_id"], span["parent_id"]))
        # Times are ISO 8601 in UTC with microseconds, so they compare as text.
        if parent is None or parent["end_time"] < span["start_time"]:
            return span
        span = parent
