"""Starts the agent as an application would, and uses CPU time in a span."""

from __future__ import annotations

import logging
import sys
import time

from opentelemetry import trace

import pyroscope_otel
from pyroscope_otel.link import thread_labels
from pyroscope_otel.link.held_request import hold_request, release, run_held
from pyroscope_otel.relay import log
from pyroscope_otel.tools.doctor.child.exchange import payload, report
from pyroscope_otel.tools.doctor.child.exporters import ExporterWatch

_BURN_SECONDS_AT_MOST = 20.0
_FLUSH_SECONDS = 12.0
_EXPORT_MILLISECONDS = 10_000


def main() -> None:
    """Run the program, and report the result."""
    task = payload()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    # The agent logs the server's responses to stderr at this level.
    logging.getLogger("pyroscope").setLevel(logging.WARNING)
    pyroscope_otel.configure(**task["settings"])
    provider = trace.get_tracer_provider()
    exporters = ExporterWatch()
    exporters.watch([provider])

    # Held like a request: the sampler `stack` does not see a span that is made by hand.
    hold = hold_request({})
    if hold is None:
        raise AssertionError("a new request is not held yet")
    facts = run_held(hold, spend, provider, task["burn_seconds"])
    release(hold)
    flushed = pyroscope_otel.shutdown(_FLUSH_SECONDS)
    # The relay's thread logs what the server said, and the doctor shows it.
    log.wait_until_logged(_FLUSH_SECONDS)
    getattr(provider, "force_flush", bool)(_EXPORT_MILLISECONDS)
    report({**facts, "flushed": flushed, "exporters": exporters.facts()})


def spend(provider: trace.TracerProvider, seconds: float) -> dict[str, object]:
    """Use CPU time in a span, and return the facts about it."""
    with provider.get_tracer("pyroscope-otel doctor").start_as_current_span("doctor") as span:
        started = time.thread_time_ns()
        burn(seconds)
        burned = time.thread_time_ns() - started
        profile_id = pyroscope_otel.current_profile_id()
        runs = thread_labels.agent_is_running()
        is_recording = span.is_recording()
    attributes = getattr(span, "attributes", None) or {}
    return {
        "profile_id": profile_id,
        "attribute": attributes.get("pyroscope.profile.id"),
        "is_recording": is_recording,
        "agent_runs": runs,
        "burned_ns": burned,
    }


def burn(seconds: float) -> None:
    """Use this much CPU time with the GIL held. On a busy machine it takes longer."""
    end = time.thread_time() + seconds
    give_up = time.monotonic() + _BURN_SECONDS_AT_MOST
    while time.thread_time() < end and time.monotonic() < give_up:
        sum(range(1000))


if __name__ == "__main__":
    main()
