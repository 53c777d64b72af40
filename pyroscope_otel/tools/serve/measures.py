"""The types of samples, with their names in Pyroscope."""

from __future__ import annotations

from typing import NamedTuple

from pyroscope_otel.tools.serve.refusal import Refused

__all__ = ("ALLOC_OBJECTS", "ALLOC_SPACE", "CPU", "MEASURES", "Measure", "measure")


class Measure(NamedTuple):
    """A type of samples.

    Attributes:
        name: The name in a push, and in the API's parameter `type`.
        unit: The unit in a push.
        column: The column in the store.
        suffix: The suffix of its fields in the API.
    """

    name: str
    unit: str
    column: str
    suffix: str


CPU = Measure("cpu", "nanoseconds", "cpu_ns", "ns")
# Allocated memory, whether or not it was freed. Memory in use is not stored: it is a state at
# one time, so its sum over pushes is meaningless.
ALLOC_SPACE = Measure("alloc_space", "bytes", "alloc_bytes", "bytes")
ALLOC_OBJECTS = Measure("alloc_objects", "count", "alloc_objects", "objects")

MEASURES = {each.name: each for each in (CPU, ALLOC_SPACE, ALLOC_OBJECTS)}


def measure(name: str | None) -> Measure:
    """Return the measure with a name, or CPU time if the name is None.

    Raises:
        Refused: With 400 if there is no such measure.
    """
    found = MEASURES.get(name or CPU.name)
    if found is None:
        raise Refused(400, f"type must be {', '.join(list(MEASURES)[:-1])} or {list(MEASURES)[-1]}")
    return found
