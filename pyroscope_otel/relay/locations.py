"""The locations of a pprof profile: which of them are marks, and what they become."""

from __future__ import annotations

from typing import Any

from pyroscope_otel.pprof.messages import Line, Location

__all__ = ("GONE", "Locations")

GONE = 0
"""In place of a location's id, which is never 0."""


class Locations:
    """What becomes of a profile's locations. Its tables are changed at once, its samples not.

    Args:
        profile: A `PprofRows`.
        file: The string of the file that marks have; -1 for none.

    Attributes:
        numbers: The number of the mark by location: of the one nearest to the leaf,
            where a location stands for several functions.
        replaced: What a location's id has to be replaced by in the samples, `GONE`
            where it has to be taken out.
        strings: The strings of what is gone.
    """

    def __init__(self, profile: Any, file: int) -> None:
        self.numbers: dict[int, int] = {}
        self.replaced: dict[int, int] = {}
        self.strings: set[int] = set()
        self._locations = profile.location
        functions = [function for function in profile.function if function.filename == file]
        if functions:
            self._take_marks({function.id for function in functions})
            for function in functions:
                self.strings |= {function.name, function.system_name, function.filename}
                profile.function.remove(function)

    def _take_marks(self, functions: set[int]) -> None:
        # Optimization: what is a mark has one of these in its bytes. To look for them takes
        # a tenth of the time that it takes to parse every location.
        signs = [Line(function_id=function).SerializeToString() for function in functions]
        kept = []
        for raw in self._locations:
            for sign in signs:
                if sign in raw:
                    kept += self._without_marks(raw, functions)
                    break
            else:
                kept.append(raw)
        self._locations[:] = kept

    def _without_marks(self, raw: bytes, functions: set[int]) -> list[bytes]:
        """Return what is left of a location: nothing, where it is a mark and nothing else."""
        location = Location.FromString(raw)
        marks = [line for line in location.line if line.function_id in functions]
        if not marks:
            return [raw]
        self.numbers[location.id] = marks[0].line
        if len(marks) == len(location.line):
            self.replaced[location.id] = GONE
            return []
        for line in marks:
            location.line.remove(line)
        return [location.SerializeToString()]

    def forget_lines(self) -> None:
        """Set every line to 0, and have one location where several are equal then."""
        kept: dict[bytes, int] = {}
        for raw in self._locations:
            location = Location.FromString(raw)
            identity, location.id = location.id, 0
            for line in location.line:
                line.line = 0
            same = kept.setdefault(location.SerializeToString(), identity)
            if same != identity:
                self.replaced[identity] = same
        self._locations[:] = [
            raw + Location(id=identity).SerializeToString() for raw, identity in kept.items()
        ]
