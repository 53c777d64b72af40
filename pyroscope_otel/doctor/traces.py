"""Judges how the spans fared: the other half of the link."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from pyroscope_otel.doctor.finding import Finding, fine, note, problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_EXTRA = "pip install 'pyroscope-otel[otlp]'"
_RESULTS = ("SUCCESS", "FAILURE")
_LOCAL_ONLY = ("ConsoleSpanExporter", "InMemorySpanExporter")

# What OTLP exporters log, over HTTP ("Failed to export ... code: 401, reason: ...")
# and over gRPC (the names of its status codes).
_REFUSED = re.compile(r"\b(401|403|UNAUTHENTICATED|PERMISSION_DENIED|Unauthorized|Forbidden)\b")
_UNREACHABLE = re.compile(
    r"(?i)connection|refused|resolve|timed? ?out|unreachable|UNAVAILABLE|DEADLINE_EXCEEDED|retries"
)
_ANSWERED = re.compile(r"\bcode: ?[1-5][0-9]{2}\b")


def check_environment_exporters(exporters: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Judge the exporters that the environment variables gave the doctor's own provider."""
    endpoint = next(filter(None, map(os.environ.get, _ENDPOINTS)), None)
    if exporters or endpoint is None:
        return check_exporters(exporters)
    kinds = os.environ.get("OTEL_TRACES_EXPORTER", "otlp")
    if "otlp" not in kinds:
        return [
            problem(
                "traces-exporter-off",
                f"OTEL_TRACES_EXPORTER is {kinds!r}, so that the OTLP endpoint in the environment "
                "gets no spans.",
                "Take OTEL_TRACES_EXPORTER away, or set it to otlp.",
            )
        ]
    return [
        problem(
            "traces-exporter-missing",
            "An OTLP endpoint is set, but no OTLP exporter for it is installed: traces go nowhere.",
            f"{_EXTRA}, or opentelemetry-exporter-otlp-proto-grpc where "
            "OTEL_EXPORTER_OTLP_PROTOCOL is grpc.",
        )
    ]


def no_exporter() -> Finding:
    """Return the finding that nothing in the environment asks for traces."""
    return note(
        "traces-no-endpoint",
        "No OTLP endpoint is set: unless the application has an exporter of its own, traces go "
        "nowhere.",
        f"Set OTEL_EXPORTER_OTLP_ENDPOINT, such as http://localhost:4318, and {_EXTRA}. With APP "
        "the doctor looks at what the application has.",
    )


def check_exporters(exporters: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Judge how each exporter fared with the spans that it got."""
    if not exporters:
        return [no_exporter()]
    return [_judge(exporter) for exporter in exporters]


def _judge(exporter: Mapping[str, Any]) -> Finding:
    endpoint = exporter["endpoint"]
    called = f"{exporter['type']} to {endpoint}" if endpoint else str(exporter["type"])
    results = exporter["results"]
    # An exporter that raises says more than FAILURE.
    said = [*exporter["complaints"], *(one for one in results if one not in _RESULTS)]
    words = "\n".join(dict.fromkeys(said))
    if exporter["type"] in _LOCAL_ONLY:
        return note(
            "traces-stay-here",
            f"The {called} shows spans where they are made; they reach no trace store.",
        )
    if "SUCCESS" in results:
        return fine("traces-accepted", f"The {called} was told that its spans are taken.")
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
            f"The {called} reaches nothing: no trace arrives.",
            "Set OTEL_EXPORTER_OTLP_ENDPOINT to where the trace store or collector listens: 4318 "
            "is the usual port for http/protobuf, 4317 for grpc.",
            words,
        )
    return problem(
        "traces-refused",
        f"The {called} got its spans refused: no trace arrives.",
        "The answer says why. A 404 means that the endpoint lacks or repeats /v1/traces, which "
        "OTEL_EXPORTER_OTLP_ENDPOINT gets added and OTEL_EXPORTER_OTLP_TRACES_ENDPOINT does not.",
        words,
    )
