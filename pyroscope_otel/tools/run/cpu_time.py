"""What the CPU time of a request is, in words for a terminal: it goes by the sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ("methods", "shown")

# By what the local server's API calls it.
_METHODS = {
    "clock": "CPU time is that of each thread's CPU clock (sampler stack).",
    "samples": (
        "CPU time is counted in samples (sampler pyspy): a thread that waits for a CPU counts "
        "as running."
    ),
}


def shown(request: Mapping[str, Any]) -> str:
    """Return a request's CPU time, and what is known of it.

    Args:
        request: A request, as the local server's API has it.
    """
    what = "sampled" if request["cpu_from"] == "samples" else "on CPU"
    return f"{what} {(request['cpu_ns'] or 0) / 1e6:.0f} ms"


def methods(cpu_from: Iterable[str | None]) -> list[str]:
    """Return a sentence for each sampler that there is CPU time from.

    Args:
        cpu_from: Where that of each request is from, as the API has it.
    """
    used = set(cpu_from)
    return [text for name, text in _METHODS.items() if name in used]
