"""What the application exported: which span is the local root of which request."""

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
    """Note on the current span which order the request is about."""
    trace.get_current_span().set_attribute(ORDER, number)


class JsonLinesExporter(SpanExporter):
    """Appends each span to a file of the process that it ended in."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        path = Path(os.environ[FOLDER_VARIABLE], f"{os.getpid()}.jsonl")
        with path.open("a") as file:
            file.writelines(span.to_json(indent=None) + "\n" for span in spans)
        return SpanExportResult.SUCCESS


def read(folder: Path) -> list[dict[str, Any]]:
    """Read what every process exported."""
    return [
        json.loads(line)
        for path in folder.glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]


def roots_by_order(spans: Iterable[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """Return the local roots of each request: one, if all is well."""
    by_id = {_key(span): span for span in spans}
    roots: dict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
    for span in by_id.values():
        if (order := span["attributes"].get(ORDER)) is not None:
            root = _local_root(span, by_id)
            roots[order][root["context"]["span_id"]] = root
    return {order: list(found.values()) for order, found in roots.items()}


def _key(span: dict[str, Any]) -> tuple[str, str]:
    return span["context"]["trace_id"], span["context"]["span_id"]


def _local_root(span: dict[str, Any], by_id: dict[tuple[str, str], Any]) -> dict[str, Any]:
    while True:
        parent = by_id.get((span["context"]["trace_id"], span["parent_id"]))
        # Times are ISO 8601 in UTC with microseconds: they compare as text.
        if parent is None or parent["end_time"] < span["start_time"]:
            return span
        span = parent
