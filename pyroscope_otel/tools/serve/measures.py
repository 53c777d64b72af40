"""What samples measure, under the names that Pyroscope gives them."""

from __future__ import annotations

from typing import NamedTuple

from pyroscope_otel.tools.serve.refusal import Refused

__all__ = ("ALLOC_OBJECTS", "ALLOC_SPACE", "CPU", "MEASURES", "Measure", "measure")


class Measure(NamedTuple):
    """A type of samples.

    Attributes:
        name: Its name, in a push and in the API's parameter `type`.
        unit: Its unit in a push.
        column: Where the store keeps it.
        suffix: How its fields end in the API's answers.
    """

    name: str
    unit: str
    column: str
    suffix: str


CPU = Measure("cpu", "nanoseconds", "cpu_ns", "ns")
# What was allocated, whether or not it was given back. What is in use belongs to
# no time, and adds up wrongly over pushes: it is not kept.
ALLOC_SPACE = Measure("alloc_space", "bytes", "alloc_bytes", "bytes")
ALLOC_OBJECTS = Measure("alloc_objects", "count", "alloc_objects", "objects")

MEASURES = {each.name: each for each in (CPU, ALLOC_SPACE, ALLOC_OBJECTS)}


def measure(name: str | None) -> Measure:
    """Return the measure of a name; CPU time where there is none.

    Raises:
        Refused: 400 if there is no such measure.
    """
    found = MEASURES.get(name or CPU.name)
    if found is None:
        raise Refused(400, f"type must be {', '.join(list(MEASURES)[:-1])} or {list(MEASURES)[-1]}")
    return found
