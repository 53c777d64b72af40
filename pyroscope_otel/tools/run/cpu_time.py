"""Explains on the terminal how CPU time was measured, which depends on the sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ("methods", "shown")

# Keys: `cpu_from` in the local server's API.
_METHODS = {
    "clock": "CPU time is read from each thread's CPU clock (sampler stack).",
    "samples": (
        "CPU time is counted in samples (sampler pyspy): a thread that waits for a CPU counts "
        "as running."
    ),
}


def shown(request: Mapping[str, Any]) -> str:
    """Return a request's CPU time in words.

    Args:
        request: A request from the local server's API.
    """
    what = "sampled" if request["cpu_from"] == "samples" else "on CPU"
    return f"{what} {(request['cpu_ns'] or 0) / 1e6:.0f} ms"


def methods(cpu_from: Iterable[str | None]) -> list[str]:
    """Return one sentence for each sampler that measured the CPU time of a request.

    Args:
        cpu_from: The field `cpu_from` of each request in the API.
    """
    used = set(cpu_from)
    return [text for name, text in _METHODS.items() if name in used]
