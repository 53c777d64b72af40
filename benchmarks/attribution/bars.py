"""The required precision and recall for each length of turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyroscope_otel.setup.sampler import stack_uses_thread_clocks

if TYPE_CHECKING:
    from benchmarks.attribution.measure import Attribution
    from benchmarks.attribution.run import Package, Sampler


class Bar(NamedTuple):
    """The minimum precision and recall, as shares."""

    precision: float
    recall: float


# The shortest turn in milliseconds for each bar, longest first.
_WITH_PYSPY = ((2.0, Bar(0.99, 0.95)), (0.5, Bar(0.99, 0.90)), (0.1, Bar(0.98, 0.45)))
_WITH_STACK = ((0.1, Bar(0.995, 0.98)),)
_READ_BY_STACK = ("hand", "ours", "zero")
"""The packages with bars. The others depend on thread labels."""


def bar_for(package: Package, slice_ms: float, sampler: Sampler) -> Bar | None:
    """Return the bar for a measurement on this Python, or None.

    Args:
        package: See `measure`.
        slice_ms: The length of a turn.
        sampler: The requested sampler.
    """
    if package not in _READ_BY_STACK:
        return None
    # Before CPython 3.12, Stack does not sample a thread on the thread itself, and is no more
    # exact than PySpy. An agent that is started by hand has the agent's default, PySpy.
    has_stack = sampler == "stack" or (sampler == "auto" and package != "hand")
    bars = _WITH_STACK if has_stack and stack_uses_thread_clocks() else _WITH_PYSPY
    return next((bar for shortest, bar in bars if slice_ms >= shortest), None)


def holds(result: Attribution) -> bool:
    """Return whether a result reaches its bar, if there is one."""
    bar = bar_for(result.package, result.slice_ms, result.sampler)
    return bar is None or (
        (result.precision or 0.0) >= bar.precision and (result.recall or 0.0) >= bar.recall
    )
