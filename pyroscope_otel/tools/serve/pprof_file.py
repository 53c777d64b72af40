"""Writes a profile as a pprof file, for `go tool pprof`, speedscope and others."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from pyroscope_otel.pprof.messages import PprofProfile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyroscope_otel.tools.serve.flame import Frames


__all__ = ("to_pprof",)


def to_pprof(
    stacks: Iterable[tuple[Frames, Sequence[int]]],
    types: Iterable[tuple[str, str]],
    start_ns: int,
    duration_ns: int,
) -> bytes:
    """Return stacks as a gzipped pprof profile.

    Args:
        stacks: The frames of each stack, root first, with one value for each type.
        types: The names and units of the values.
        start_ns: The start, in nanoseconds since the epoch.
        duration_ns: The duration.
    """
    strings: dict[str, int] = {"": 0}
    functions: dict[tuple[str, str], int] = {}
    locations: dict[tuple[str, str, int], int] = {}

    def string(text: str) -> int:
        return strings.setdefault(text, len(strings))

    profile = PprofProfile(time_nanos=start_ns, duration_nanos=duration_ns)
    for kind, unit in types:
        profile.sample_type.add(type=string(kind), unit=string(unit))
    for frames, values in stacks:
        for name, file, line in frames:
            if (name, file) not in functions:
                functions[name, file] = len(functions) + 1
                profile.function.add(
                    id=functions[name, file], name=string(name), filename=string(file)
                )
            if (name, file, line) not in locations:
                location = profile.location.add(id=len(locations) + 1)
                location.line.add(function_id=functions[name, file], line=line)
                locations[name, file, line] = location.id
        leaf_first = [locations[frame] for frame in reversed(frames)]
        profile.sample.add(location_id=leaf_first, value=values)
    profile.string_table.extend(strings)
    return gzip.compress(profile.SerializeToString(), mtime=0)
