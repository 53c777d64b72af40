"""Checks the link from end to end: a span uses CPU time, and its profile is read back by id."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pyroscope_otel.setup.findings.finding import Finding, fine, note, problem
from pyroscope_otel.tools.doctor.isolated import Outcome, run_isolated
from pyroscope_otel.tools.doctor.reading import CannotRead
from pyroscope_otel.tools.doctor.server_check import ServerCheck, arrives
from pyroscope_otel.tools.doctor.settings_check import as_arguments
from pyroscope_otel.tools.doctor.target import SERVICE_NAME, doctor_tags
from pyroscope_otel.tools.doctor.traces_check import check_environment_exporters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyroscope_otel.setup.settings import Settings
    from pyroscope_otel.tools.doctor.reading import Reader

_SECONDS = 60.0
_BURN_SECONDS = 1.0
_EXPORT_SECONDS = "5"
_SAMPLING_ERROR = 1.2  # the factor by which sampled CPU time may exceed measured CPU time
_MIN_SAMPLE_RATE = 100


def check_end_to_end(
    settings: Settings, server: ServerCheck, *, with_exporters: bool
) -> list[Finding]:
    """Send a span's profile through the agent and the server, and the span through exporters.

    Args:
        settings: The application's settings. The doctor's name replaces the application's.
        server: The result of `check_server`. If the server takes no push, only what happens
            in the process is judged.
        with_exporters: Whether to judge the exporters that the environment asks for.
    """
    before = _service_total(server.reader)
    outcome = run_isolated(
        "end_to_end",
        {"settings": _arguments(settings), "burn_seconds": _BURN_SECONDS},
        seconds=_SECONDS,
        environ={
            # Takes precedence over a service.name in OTEL_RESOURCE_ATTRIBUTES.
            "OTEL_SERVICE_NAME": SERVICE_NAME,
            "OTEL_EXPORTER_OTLP_TIMEOUT": _EXPORT_SECONDS,
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": _EXPORT_SECONDS,
            **_sampler(),
        },
    )
    facts = outcome.facts
    if facts is None:
        return [
            problem(
                "end-to-end-failed",
                f"The end-to-end check did not finish: {outcome.ending}.",
                "Its last output shows where. If the agent itself crashed, try another release of "
                "pyroscope-io.",
                outcome.output,
            )
        ]
    findings = _judge_span(facts, outcome, server, before)
    return findings + (check_environment_exporters(facts["exporters"]) if with_exporters else [])


def _arguments(settings: Settings) -> dict[str, Any]:
    return {
        **as_arguments(settings),
        "application_name": SERVICE_NAME,
        "tags": doctor_tags(settings.tags),
        "start": "lazy",
        # With fewer samples, none might hit the span.
        "sample_rate": max(settings.sample_rate, _MIN_SAMPLE_RATE),
        # The agent logs the server's responses.
        "enable_logging": True,
    }


def _sampler() -> dict[str, str]:
    """Make sure that the span is sampled if the environment's sampler works by chance."""
    name = os.environ.get("OTEL_TRACES_SAMPLER", "")
    share = os.environ.get("OTEL_TRACES_SAMPLER_ARG", "1")
    return {"OTEL_TRACES_SAMPLER": "always_on"} if "ratio" in name and share.strip("0. ") else {}


def _service_total(reader: Reader | None) -> int:
    try:
        return 0 if reader is None else reader.service_total()
    except CannotRead:
        return 0  # Reading the profile will fail too, and that is reported.


def _judge_span(
    facts: Mapping[str, Any], outcome: Outcome, server: ServerCheck, before: int
) -> list[Finding]:
    if not facts["is_recording"]:
        return [_not_recorded()]
    if not facts["attribute"]:
        return [
            problem(
                "end-to-end-no-attribute",
                "A span got no pyroscope.profile.id, though the span processor is registered.",
                "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT and OTEL_ATTRIBUTE_COUNT_LIMIT must leave room "
                "for an attribute. If they do, this is a bug in pyroscope-otel.",
                outcome.output,
            )
        ]
    if not facts["agent_runs"]:
        return [
            problem(
                "end-to-end-no-agent",
                "The Pyroscope agent did not start: no profile arrives.",
                "Its log gives the reason. It takes samples by reading the process's own memory, "
                "which a seccomp profile can forbid.",
                outcome.output,
            )
        ]
    if server.reader is None:
        return []
    return [_judge_profile(facts, outcome, server.reader, server.push, before)]


def _not_recorded() -> Finding:
    sampler = os.environ.get("OTEL_TRACES_SAMPLER", "the default")
    argument = os.environ.get("OTEL_TRACES_SAMPLER_ARG", "")
    return problem(
        "end-to-end-not-sampled",
        "A span was dropped by the sampler: unsampled spans get no pyroscope.profile.id.",
        "Change OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG.",
        f"OTEL_TRACES_SAMPLER is {sampler}" + (f" with {argument}" if argument else ""),
    )


def _judge_profile(
    facts: Mapping[str, Any],
    outcome: Outcome,
    reader: Reader,
    push: Callable[[], object],
    before: int,
) -> Finding:
    span_id, burned = facts["profile_id"], facts["burned_ns"]
    try:
        found = arrives(reader, span_id, push)
        others = 0 if found else reader.service_total() - before
        is_empty = not found and not reader.shows_a_service()
    except CannotRead as error:
        return note(
            "end-to-end-cannot-read",
            f"The profile of span {span_id} was pushed, but cannot be read back: cannot tell "
            "whether it arrived.",
            "Give credentials that may also read (in Grafana Cloud: profiles:read), or name the "
            "server to read from with --read-from.",
            str(error),
        )
    if is_empty:
        return note(
            "end-to-end-nothing-shown",
            f"The profile of span {span_id} was pushed, but the server does not show any service "
            "yet: cannot tell whether it arrived.",
            "A Pyroscope server without data, or without data of this tenant, takes minutes to "
            "show its first profile. Run the doctor again later.",
            outcome.output,
        )
    if not found:
        return _nothing_found(span_id, others, outcome)
    return fine("end-to-end", _read_back(span_id, found, burned))


def _read_back(span_id: str, sampled_ns: float, used_ns: float) -> str:
    words = (
        f"The profile of span {span_id} was read back by its id: it used {used_ns / 1e6:.0f} ms "
        f"of CPU time, and {sampled_ns / 1e6:.0f} ms were sampled."
    )
    if sampled_ns > _SAMPLING_ERROR * used_ns:
        words += " PySpy also samples threads that wait for a CPU: this machine is busy."
    return words


def _nothing_found(span_id: str, others: int, outcome: Outcome) -> Finding:
    if others > 0:
        return problem(
            "end-to-end-samples-unlinked",
            f"Samples arrived, but none of them for span {span_id}: they came without their "
            "label, or the server dropped it.",
            "Check what is between the agent and the server: a relabelling rule may drop "
            "span_id. If there is nothing, this is a bug in pyroscope-otel.",
            outcome.output,
        )
    return problem(
        "end-to-end-not-arrived",
        f"The profile of span {span_id} did not arrive, though the server takes pushes.",
        "The agent's log below shows the server's response. The agent has its own TLS library, "
        "which may not trust a certificate that Python trusts. If the log is empty, the agent "
        "took no samples: it reads the process's own memory, which a seccomp profile can forbid.",
        outcome.output,
    )
