"""Judges whether the spans were exported: the other half of the link."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from pyroscope_otel.setup.findings.exporting import Exporter, exporters_asked_for, stays_here
from pyroscope_otel.setup.findings.finding import Finding, fine, note, problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_RESULTS = ("SUCCESS", "FAILURE")

# OTLP exporters log this over HTTP ("Failed to export ... code: 401, reason: ...") and over
# gRPC (the names of its status codes).
_REFUSED = re.compile(r"\b(401|403|UNAUTHENTICATED|PERMISSION_DENIED|Unauthorized|Forbidden)\b")
_UNREACHABLE = re.compile(
    r"(?i)connection|refused|resolve|timed? ?out|unreachable|UNAVAILABLE|DEADLINE_EXCEEDED|retries"
)
_ANSWERED = re.compile(r"\bcode: ?[1-5][0-9]{2}\b")


def check_environment_exporters(exporters: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Judge the exporters that the doctor's own provider got from the environment."""
    return [*exporters_asked_for(os.environ).findings, *check_exporters(exporters)]


def check_exporters(exporters: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Judge the results of each exporter."""
    return [_judge(exporter) for exporter in exporters]


def _judge(exporter: Mapping[str, Any]) -> Finding:
    called = Exporter(exporter["type"], exporter["endpoint"])
    results = exporter["results"]
    # An exception says more than FAILURE.
    messages = [*exporter["complaints"], *(one for one in results if one not in _RESULTS)]
    words = "\n".join(dict.fromkeys(messages))
    if called.stays_here:
        return stays_here(called)
    if "SUCCESS" in results:
        return fine("traces-accepted", f"The spans of the {called} were accepted.")
    if not results:
        return note(
            "traces-not-tried",
            f"The {called} got no span to export.",
            "Look for findings about the request's spans.",
        )
    if _REFUSED.search(words):
        return problem(
            "traces-credentials-refused",
            f"The {called} was refused: its credentials are missing or wrong, no trace arrives.",
            "Set OTEL_EXPORTER_OTLP_HEADERS, such as authorization=Basic%20...",
            words,
        )
    if _UNREACHABLE.search(words) and not _ANSWERED.search(words):
        return problem(
            "traces-unreachable",
            f"The {called} cannot connect: no trace arrives.",
            "Set OTEL_EXPORTER_OTLP_ENDPOINT to where the trace store or collector listens: 4318 "
            "is the usual port for http/protobuf, 4317 for grpc.",
            words,
        )
    return problem(
        "traces-refused",
        f"The spans of the {called} were refused: no trace arrives.",
        "The response gives the reason. A 404 means that the endpoint lacks or repeats "
        "/v1/traces, which is appended to OTEL_EXPORTER_OTLP_ENDPOINT but not to "
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.",
        words,
    )
