"""Are there spans that profiles could be linked with?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from pyroscope_otel.setup.findings.finding import Finding, note, problem

if TYPE_CHECKING:
    from collections.abc import Mapping

# As the SDK's own samplers describe themselves. A parent-based one is none of them:
# it takes what the caller sampled.
_DROPS_ALL = re.compile(r"AlwaysOffSampler|TraceIdRatioBased\{0(\.0*)?\}")


def judge_spans(provider: Any | None, environ: Mapping[str, str]) -> list[Finding]:
    """Return what keeps a tracer provider from making spans that are recorded.

    Args:
        provider: The tracer provider; None for the one that is yet to be made.
        environ: The environment variables.
    """
    if sdk_is_disabled(environ):
        return [
            problem(
                "sdk-disabled",
                "OTEL_SDK_DISABLED is true: there are no spans, and so nothing that links profiles "
                "with traces.",
                "Take OTEL_SDK_DISABLED away.",
            )
        ]
    if is_no_op(provider):
        return [
            problem(
                "provider-without-spans",
                "The tracer provider is OpenTelemetry's NoOpTracerProvider: there are no spans, "
                "and so nothing that links profiles with traces.",
                "Set a TracerProvider of opentelemetry.sdk.trace.",
            )
        ]
    sampler = describe_sampler(provider)
    return [sampler_drops_all(sampler)] if _DROPS_ALL.fullmatch(sampler) else []


def sampler_drops_all(sampler: str) -> Finding:
    """Return the finding that a sampler takes no trace."""
    return problem(
        "sampler-drops-all",
        f"The sampler {sampler} drops every new trace: unsampled spans get no "
        "pyroscope.profile.id.",
        "Change OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG, or the sampler of the "
        "application's provider.",
    )


def sampler_drops_some(sampler: str, dropped: int, tried: int) -> Finding:
    """Return the finding that a sampler takes some traces, and not others."""
    return note(
        "sampler-drops-some",
        f"The sampler {sampler} drops {dropped} of {tried} new traces: their requests have no "
        "profile.",
    )


def sdk_is_disabled(environ: Mapping[str, str]) -> bool:
    """Return whether OpenTelemetry's SDK is switched off, as it reads the variable."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def is_no_op(provider: Any) -> bool:
    """Return whether a tracer provider is the API's own, which makes no spans."""
    return isinstance(provider, trace.NoOpTracerProvider)


def describe_sampler(provider: Any) -> str:
    """Return what a provider's sampler says of itself; "unknown" where there is none."""
    sampler = getattr(provider, "sampler", None)
    return str(getattr(sampler, "get_description", lambda: "unknown")())
