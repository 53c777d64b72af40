"""Describes in words how a process samples, attributes and uploads its profiles."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pyroscope_otel.setup.findings.finding import Finding, note

if TYPE_CHECKING:
    from pyroscope_otel.relay.relay import RelayState

_ATTRIBUTION = {
    "stack": "by the stack: exact",
    "thread": "by thread labels: right for turns of 20 ms, and wrong more often below",
}


def by_thread_labels(*, is_chosen: bool) -> Finding:
    """Report that the agent sends to the server directly, and how to change that.

    Args:
        is_chosen: Whether the setting `attribution` asks for it.
    """
    if is_chosen:
        why = "attribution is 'thread'"
        way_out = "attribution='stack' is exact."
    else:
        why = (
            "the Pyroscope agent was started before pyroscope_otel was imported, or no relay "
            "could be started"
        )
        way_out = "Import pyroscope_otel before pyroscope.configure is called to have it exact."
    return note(
        "attribution-by-thread-labels",
        f"Requests are told apart by thread labels, as {why}: that is right for turns of 20 ms, "
        "and wrong more often the shorter they are. Profiles are lost while the server is away.",
        way_out,
    )


def agent_rows(sampler: str, attribution: str, state: RelayState | None) -> dict[str, str]:
    """Return an agent's sampler and the state of its uploads, in words, by row title.

    Args:
        sampler: ``"pyspy"`` or ``"stack"``.
        attribution: ``"stack"`` or ``"thread"``: how requests are told apart.
        state: The state of the relay, or None without a relay.
    """
    rows = {"sampler": sampler, "attribution": _ATTRIBUTION[attribution]}
    if state is None:
        return rows
    rows |= {
        "pushes taken": str(state.taken),
        "sent": str(state.sent),
        "waiting": f"{state.waiting} ({state.waiting_bytes} bytes)",
        "dropped": str(state.dropped),
        "sent without links": str(state.untranslated),
        "last answer": state.last_answer or "none yet",
    }
    if state.last_answer_at is not None:
        ago = max(0.0, time.time() - state.last_answer_at)
        rows["last answer"] += f", {ago:.0f} s ago"
    return rows
