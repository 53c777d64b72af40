"""Finds out whether there are spans to link profiles with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from pyroscope_otel.setup.findings.finding import Finding, note, problem

if TYPE_CHECKING:
    from collections.abc import Mapping

# The descriptions of the SDK's samplers. Parent-based samplers do not match: they still
# sample what the caller sampled.
_DROPS_ALL = re.compile(r"AlwaysOffSampler|TraceIdRatioBased\{0(\.0*)?\}")


def judge_spans(provider: Any | None, environ: Mapping[str, str]) -> list[Finding]:
    """Report what keeps a tracer provider from recording spans.

    Args:
        provider: The tracer provider, or None if it is yet to be made.
        environ: The environment variables.
    """
    if sdk_is_disabled(environ):
        return [
            problem(
                "sdk-disabled",
                "OTEL_SDK_DISABLED is true: there are no spans, so nothing links profiles with "
                "traces.",
                "Unset OTEL_SDK_DISABLED.",
            )
        ]
    if is_no_op(provider):
        return [
            problem(
                "provider-without-spans",
                "The tracer provider is OpenTelemetry's NoOpTracerProvider: there are no spans, "
                "so nothing links profiles with traces.",
                "Set a TracerProvider of opentelemetry.sdk.trace.",
            )
        ]
    sampler = describe_sampler(provider)
    return [sampler_drops_all(sampler)] if _DROPS_ALL.fullmatch(sampler) else []


def sampler_drops_all(sampler: str) -> Finding:
    """Report that a sampler drops every new trace."""
    return problem(
        "sampler-drops-all",
        f"The sampler {sampler} drops every new trace: unsampled spans get no "
        "pyroscope.profile.id.",
        "Change OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG, or the sampler of the "
        "application's provider.",
    )


def sampler_drops_some(sampler: str, dropped: int, tried: int) -> Finding:
    """Report that a sampler drops some new traces."""
    return note(
        "sampler-drops-some",
        f"The sampler {sampler} drops {dropped} of {tried} new traces: their requests have no "
        "profile.",
    )


def sdk_is_disabled(environ: Mapping[str, str]) -> bool:
    """Return whether `OTEL_SDK_DISABLED` disables the SDK, read as the SDK reads it."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def is_no_op(provider: Any) -> bool:
    """Return whether a tracer provider is the API's no-op provider."""
    return isinstance(provider, trace.NoOpTracerProvider)


def describe_sampler(provider: Any) -> str:
    """Return the description of a provider's sampler, or "unknown" if it has none."""
    sampler = getattr(provider, "sampler", None)
    return str(getattr(sampler, "get_description", lambda: "unknown")())
