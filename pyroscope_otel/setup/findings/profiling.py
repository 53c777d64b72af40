"""Finds valid settings that produce no profiles, or profiles that cannot be found."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyroscope_otel.setup.findings.finding import Finding, note, problem
from pyroscope_otel.setup.findings.upload_state import by_thread_labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyroscope_otel.setup.settings import Settings

_FEW_SAMPLES = 50

# A profile's timestamp is the start of its upload window. Grafana queries the span's time
# range, extended by this many seconds on both sides (`SpanFlameGraph.tsx`,
# `createSpanLink.tsx`).
_FLAME_GRAPH_SECONDS = 30
_LINK_SECONDS = 60

_CLASSIC = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def judge_profiling(settings: Settings) -> list[Finding]:
    """Report settings that leave spans without a profile or make profiles inaccurate."""
    findings = []
    if not settings.enabled:
        findings.append(
            problem(
                "settings-disabled",
                f"enabled is False ({settings.sources['enabled']}): nothing is installed, spans "
                "get no pyroscope.profile.id, and no profile arrives.",
                "Remove the setting.",
            )
        )
    if not settings.cpu_enabled:
        findings.append(
            problem(
                "settings-no-cpu-profiles",
                f"cpu_enabled is False ({settings.sources['cpu_enabled']}): the CPU profile of "
                "every span is empty.",
                "Remove the setting.",
            )
        )
    if "span_id" not in settings.span_labels:
        findings.append(
            problem(
                "settings-no-span-id",
                f"span_labels ({settings.sources['span_labels']}) leaves out span_id: samples "
                "are not linked with spans, and the profile of every span is empty.",
                "Add span_id to span_labels (PYROSCOPE_SPAN_LABELS).",
            )
        )
    if settings.attribution == "thread":
        findings.append(by_thread_labels(is_chosen=True))
    if settings.sample_rate < _FEW_SAMPLES:
        period = 1000 / settings.sample_rate
        findings.append(
            note(
                "settings-few-samples",
                f"A sample is taken every {period:.0f} ms ({settings.sources['sample_rate']}): a "
                "span with less CPU time than that often has an empty profile.",
                "Raise sample_rate (PYROSCOPE_PROFILING_INTERVAL); 100 a second is the default.",
            )
        )
    return findings


def judge_visibility(settings: Settings) -> list[Finding]:
    """Report settings that keep stored profiles from being shown."""
    return [*judge_labels(settings.tags), *_judge_upload_interval(settings.upload_interval)]


def judge_labels(names: Iterable[str]) -> Iterator[Finding]:
    """Report labels that only clients that ask for UTF-8 names can see."""
    strange = [name for name in names if not _CLASSIC.fullmatch(name)]
    if not strange:
        return
    instead = ", ".join(f"{classic_label(name)!r} instead of {name!r}" for name in strange)
    yield note(
        "labels-not-classic",
        f"These tag names are not classic label names: {', '.join(map(repr, strange))}. Grafana "
        "does not show the labels, though Pyroscope 2 keeps them; an older server may refuse all "
        "profiles because of them.",
        f"Call them {instead}.",
    )


def _judge_upload_interval(seconds: int) -> Iterator[Finding]:
    if seconds <= _FLAME_GRAPH_SECONDS:
        return
    beyond_the_link = seconds > _LINK_SECONDS
    yield (problem if beyond_the_link else note)(
        "upload-interval-too-long",
        f"upload_interval is {seconds} s: "
        + (
            "Grafana's link from a span, which asks for the minute before and after it, and the "
            "embedded flame graph miss the profiles of many requests."
            if beyond_the_link
            else "Grafana's embedded flame graph, which asks for the 30 s before and after a span, "
            "misses the profiles of many requests."
        ),
        f"Set upload_interval (PYROSCOPE_UPLOAD_INTERVAL) to {_FLAME_GRAPH_SECONDS} s or less.",
    )


def classic_label(name: str) -> str:
    """Return a label name changed so that every version of Pyroscope and Grafana accepts it."""
    classic = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    return f"_{classic}" if classic[:1].isdecimal() else classic
