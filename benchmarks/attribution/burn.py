"""Burns CPU time, or allocates memory, in a separate function for each request.

Each request has a number, and burns CPU time only in a function named after the number. So the
stack of a sample shows its request, independent of any label.
"""

from __future__ import annotations

import functools
import os
import random
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import types
    from collections.abc import Callable

    from pyroscope_otel.pprof.pushes import Sample

SECONDS_PER_REQUEST = 0.2
BYTES_PER_REQUEST = 16 * 2**20
SLICE_VARIABLE = "ATTRIBUTION_SLICE_MS"

_SOURCE = """
def {name}(seconds):
    end = thread_time() + seconds
    while thread_time() < end:
        for _ in range(100):
            pass
"""
_ALLOCATING_SOURCE = """
def {name}(pieces):
    for _ in range(pieces):
        bytearray(4096)
"""
_PIECE_BYTES = 4096
_NAME = re.compile(r"(?:burn|allocate)_for_(\d+)$")
_NO_REQUEST = "burn_without_request"


@functools.cache
def _function(name: str, source: str = _SOURCE) -> Callable[[float], None]:
    namespace = {"thread_time": time.thread_time}
    exec(compile(source.format(name=name), f"{name}.py", "exec"), namespace)  # noqa: S102 ours
    return namespace[name]


def _slice_seconds() -> float:
    return float(os.environ[SLICE_VARIABLE]) / 1000


def _about_a_slice() -> float:
    # Vary the length. The agent samples every 10 ms, and would hit slices of exactly twice that
    # at the same point for a long time.
    return _slice_seconds() * random.uniform(0.75, 1.25)  # noqa: S311 no secret


def turns(parts: int = 1) -> range:
    """Return the turns of a request, or of each of its parts."""
    return range(max(1, round(SECONDS_PER_REQUEST / _slice_seconds() / parts)))


def exact_id(number: int) -> str:
    """Return the id of a request that replaces the profile id if labels are exact."""
    return f"exact-{number}"


agent: types.ModuleType | None = None
"""The agent that sets an exact label for each slice, if any; see `set_up`."""


def burn(number: int) -> None:
    """Burn one slice for a request."""
    if agent is not None:
        agent.add_thread_tag("span_id", exact_id(number))
    _function(f"burn_for_{number}")(_about_a_slice())
    if agent is not None:
        agent.remove_thread_tag("span_id", exact_id(number))


def burn_without_request() -> None:
    """Burn one slice without a request."""
    _function(_NO_REQUEST)(_about_a_slice())


def allocate(number: int) -> None:
    """Allocate a turn's share of memory for a request, and free it."""
    pieces = max(1, BYTES_PER_REQUEST // len(turns()) // _PIECE_BYTES)
    _function(f"allocate_for_{number}", _ALLOCATING_SOURCE)(pieces)


def request_of(sample: Sample) -> int | None:
    """Return the number of a sample's request, from its stack."""
    for frame in sample.stack:
        if match := _NAME.search(frame.function):
            return int(match[1])
    return None


def is_without_request(sample: Sample) -> bool:
    """Return whether a sample belongs to work that is deliberately without a request."""
    return any(frame.function == _NO_REQUEST for frame in sample.stack)
