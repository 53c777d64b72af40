"""Judges the spans and samples of a request to the application."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyroscope_otel.setup.findings.finding import Finding, fine, note, problem
from pyroscope_otel.setup.findings.names import judge_names
from pyroscope_otel.setup.findings.spans import sampler_drops_all, sampler_drops_some
from pyroscope_otel.setup.installing import pip_install

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SERVER_ERRORS = 500
_ALL_TRIED = 10_000
_SURELY_SAMPLED_PERIODS = 10
_NEXT_TO_NOTHING = 0.1
_MOSTLY = 0.5
_WAITING = 10


def check_request(app: str, path: str, facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge the last request that was sent to the application."""
    request = facts["requests"][-1]
    if request["error"] or request["status"] >= _SERVER_ERRORS:
        yield problem(
            "app-request-failed",
            f"GET {path} of {app} failed"
            + (f" with {request['status']}." if request["status"] >= _SERVER_ERRORS else "."),
            "Use --path to choose a request that the application answers.",
            request["error"],
        )
    # Ignore spans that other threads, such as a scheduler's, made at the same time.
    roots = [root for root in facts["spans"] if root["is_server"]] or facts["spans"]
    if not roots:
        yield from _no_root(path, facts)
        return
    if len(roots) > 1:
        yield _several_roots(path, roots)
    else:
        yield fine(
            "app-one-local-root",
            f"GET {path} was answered with {request['status']} and has one local root span, "
            f"{roots[0]['name']!r}.",
        )
    for root in roots:
        yield from _judge_root(path, root, facts)


def _no_root(path: str, facts: Mapping[str, Any]) -> Iterator[Finding]:
    providers = facts["providers"]
    if not providers:
        return  # `application_check` reports it.
    dropping = [one for one in providers if one["dropped"] == _ALL_TRIED]
    if dropping:
        yield sampler_drops_all(dropping[0]["sampler"])
        return
    part = next((one for one in providers if one["dropped"]), None)
    if part is not None:
        yield replace(
            sampler_drops_some(part["sampler"], part["dropped"], _ALL_TRIED),
            remedy=f"GET {path} left no span, which may be chance: run the doctor with "
            "OTEL_TRACES_SAMPLER=always_on.",
        )
        return
    yield problem(
        "app-no-span",
        f"GET {path} left no span, so there is nothing to link its profile with.",
        "Add PyroscopeMiddleware, or OpenTelemetry's instrumentation of the framework. The "
        "instrumentation must be applied before the application object is made, and the path "
        "must not match OTEL_PYTHON_EXCLUDED_URLS. OTEL_SDK_DISABLED must not be true.",
    )


def _several_roots(path: str, roots: Sequence[Mapping[str, Any]]) -> Finding:
    made = ", ".join(f"{root['name']!r} by {root['made_by']}" for root in roots)
    return problem(
        "app-several-local-roots",
        f"GET {path} has {len(roots)} local root spans, so its samples are split: {made}.",
        "Two instrumentations trace the same request: remove one. With PyroscopeMiddleware, no "
        "other is needed.",
    )


def _judge_root(path: str, root: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[Finding]:
    provider = facts["providers"][root["provider"]]
    if not root["profile_id"]:
        yield from _no_attribute(root, provider, facts)
        return
    if provider["dropped"]:
        yield sampler_drops_some(provider["sampler"], provider["dropped"], _ALL_TRIED)
    if facts["agent"]:
        start = facts["agent"][-1]
        name = str(start["application_name"] or "")
        yield from judge_names(name, start["tags"], provider["resource"])
    if facts["agent_runs"]:
        yield _judge_samples(path, root, facts)


def _no_attribute(
    root: Mapping[str, Any], provider: Mapping[str, Any], facts: Mapping[str, Any]
) -> Iterator[Finding]:
    if provider["has_processor"]:
        yield problem(
            "app-no-attribute",
            f"The root span {root['name']!r} has no pyroscope.profile.id, though its provider has "
            "the span processor.",
            "The processor was added after the span had started: do it while the application is "
            "loaded. If it was, OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT must leave room for an attribute.",
        )
    elif any(one["has_processor"] for one in facts["providers"]):
        yield problem(
            "app-processor-elsewhere",
            f"The root span {root['name']!r} comes from a tracer provider without "
            "PyroscopeSpanProcessor; another provider has it.",
            "Give the provider in use to pyroscope_otel.configure or the middleware as "
            "tracer_provider, or set it globally before the application is made.",
        )


def _judge_samples(path: str, root: Mapping[str, Any], facts: Mapping[str, Any]) -> Finding:
    if facts["samples"] is None:
        return note(
            "app-samples-unseen",
            "Cannot tell whether samples carry the request's id: the doctor needs protobuf for it.",
            pip_install("receiver"),
        )
    request, start = facts["requests"][-1], facts["agent"][-1]
    cpu, wall = request["cpu_ns"], request["ended_ns"] - request["began_ns"]
    took = f"GET {path} took {wall / 1e6:.0f} ms and {cpu / 1e6:.0f} ms of CPU time"
    sampled = facts["samples"].get(root["profile_id"], 0)
    has = f"its profile has {sampled / 1e6:.0f} ms in samples"
    period = 1e9 / start["sample_rate"]
    # While a request waits, a little CPU time may be used by other threads.
    waits = wall >= _WAITING * max(cpu, period)
    is_much = cpu >= _SURELY_SAMPLED_PERIODS * period
    if is_much and not waits and sampled < _NEXT_TO_NOTHING * cpu:
        elsewhere = facts["samples"].get("", 0) >= _MOSTLY * cpu
        return _not_sampled(f"{took}, and {has}", gil_released=start["gil_only"] and not elsewhere)
    if sampled:
        return fine("app-profile", f"{took}; {has}.")
    if waits:
        return note(
            "app-profile-waiting",
            f"{took}: it waits more than it works, and its profile is empty.",
            "This is normal: a CPU profile does not show waiting. The trace does.",
        )
    return note(
        "app-profile-short",
        f"{took}, and its profile is empty: a sample is taken every {period / 1e6:.0f} ms.",
        "This is normal for such a short request. Use --path to choose one that computes more, "
        "or look at the profiles of a route rather than of a request.",
    )


def _not_sampled(took: str, *, gil_released: bool) -> Finding:
    if gil_released:
        return problem(
            "app-gil-released",
            f"{took}: the rest was spent with the GIL released, as in hashing, compression and "
            "numeric libraries, or in other threads.",
            "Set gil_only=False (PYROSCOPE_GIL_ONLY=false) to sample such work.",
        )
    return problem(
        "app-profile-empty",
        f"{took}.",
        "The work may be done in threads or processes that do not belong to the request: see "
        "the limits in the documentation, docs/limits.md.",
    )
