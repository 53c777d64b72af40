"""Replaces the marks of one pprof profile by span labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroscope_otel.link.marks import FILENAME, LABEL, number_of_sample
from pyroscope_otel.pprof.messages import PprofRows, Sample
from pyroscope_otel.relay import unpatched
from pyroscope_otel.relay.locations import GONE, Locations

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("LinkedProfile",)

_NO_STRING = -1  # not an index into the string table

_SAMPLES_IN_A_ROW = 50  # 0.3 ms


class LinkedProfile:
    """A pprof profile with span labels instead of marks.

    Args:
        raw: The profile, as the agent sends it.
        labels_of: Returns the span labels of the profile that a number stands for.
        without_lines: Whether to set every line number to 0.

    Attributes:
        raw: The new profile.
        samples: The number of samples in it.
        linked: The number of samples that got span labels.
        live: The numbers of samples that stand for live memory.
        label_names: The names of the other labels of its samples. Not looked for if no sample
            got span labels.
        until: When the last sample was taken, in seconds since the epoch.

    Raises:
        DecodeError: If it is not a pprof profile.
        IndexError: If it refers to a string that it does not contain.
    """

    def __init__(
        self,
        raw: bytes,
        labels_of: Callable[[int], tuple[tuple[str, str], ...]],
        *,
        without_lines: bool,
    ) -> None:
        self.raw = raw
        self.linked = 0
        self.live: set[int] = set()
        self.label_names: set[str] = set()
        self._labels_of = labels_of
        self._profile = PprofRows.FromString(raw)
        self.until = (self._profile.time_nanos + self._profile.duration_nanos) / 1e9
        self._table = self._profile.string_table
        # Each string occurs once: the agent builds the table from a set.
        self._strings = {string: i for i, string in enumerate(self._table)}
        self._label_key = self._strings.get(LABEL, _NO_STRING)
        file = self._strings.get(FILENAME, _NO_STRING)
        self._unused = {self._label_key, file}
        self._used: set[int] = set()
        if without_lines or self._unused != {_NO_STRING}:
            locations = Locations(self._profile, file)
            if without_lines:
                locations.forget_lines()
            self._unused |= locations.strings
            self._link(locations)
            self._blank_unused_strings()
            self.raw = self._profile.SerializeToString()
        self.samples = len(self._profile.sample)

    def _link(self, locations: Locations) -> None:
        """Give each sample its profile's labels, and merge samples that become equal."""
        samples = self._profile.sample
        numbers, replaced = locations.numbers, locations.replaced
        of_interest = (numbers.keys() | replaced.keys()).intersection
        in_use = self._columns_of_memory_in_use()
        encoded: dict[int, bytes] = {}
        first_of: dict[tuple[object, ...], Any] = {}
        merged: list[int] = []
        for index, sample in enumerate(samples):
            if not index % _SAMPLES_IN_A_ROW:
                # Yield the GIL: otherwise a waiting request gets it only after 5 ms.
                unpatched.sleep(0)
            location_ids = sample.location_id
            # Optimization: a slice copies in C, twenty times faster than item by item.
            stack = location_ids[:]
            mark = 0
            if found := of_interest(stack):
                location = found.pop()
                position = stack.index(location)
                if found or replaced.get(location) != GONE or location in stack[position + 1 :]:
                    mark = next((numbers[i] for i in stack if i in numbers), 0)
                    stack = [left for i in stack if (left := replaced.get(i, i)) != GONE]
                    location_ids[:] = stack
                else:
                    # Optimization: nearly every stack has exactly one mark. This takes a fifth
                    # of the time.
                    mark = numbers[location]
                    del stack[position], location_ids[position]
            number, others = self._take_label(sample.label, mark) if sample.label else (mark, ())
            labels = encoded.get(number)
            if labels is None:
                encoded[number] = labels = self._encoded_labels(number)
            if in_use and any(sample.value[column] for column in in_use):
                self.live |= {mark, number}
            first = first_of.setdefault((labels, others, *stack), sample)
            if first is not sample:
                first.value[:] = [a + b for a, b in zip(first.value, sample.value, strict=True)]
                merged.append(index)
            elif labels:
                sample.MergeFromString(labels)
                self.linked += 1
        for index in reversed(merged):
            del samples[index]
        self.live.discard(0)

    def _columns_of_memory_in_use(self) -> list[int]:
        names = [self._table[kind.type] for kind in self._profile.sample_type]
        return [column for column, name in enumerate(names) if name.startswith("inuse_")]

    def _take_label(self, labels: Any, mark: int) -> tuple[int, tuple[object, ...]]:
        """Remove our label from a sample.

        Returns:
            The number that the sample belongs to, and the remaining labels in a canonical
            order.
        """
        others = []
        values: list[str] = []
        for i in reversed(range(len(labels))):
            label = labels[i]
            if label.key != self._label_key:
                others.append((label.key, label.str, label.num, label.num_unit))
                self._used |= {label.key, label.str, label.num_unit}
                self.label_names.add(self._table[label.key])
                continue
            values.append(self._table[label.str])
            self._unused.add(label.str)
            del labels[i]
        return number_of_sample(mark, values), tuple(sorted(others))

    def _encoded_labels(self, number: int) -> bytes:
        """Return a number's span labels, encoded as a sample with nothing else."""
        labels = self._labels_of(number) if number else ()
        encoded: bytes = Sample(
            label=[
                {"key": self._index_of(key), "str": self._index_of(value)} for key, value in labels
            ]
        ).SerializeToString()
        return encoded

    def _index_of(self, string: str) -> int:
        index = self._strings.get(string)
        if index is None:
            index = self._strings[string] = len(self._table)
            self._table.append(string)
        self._used.add(index)
        return index

    def _blank_unused_strings(self) -> None:
        """Empty the strings that only marks used. The other strings keep their indexes."""
        profile, used = self._profile, self._used
        for function in profile.function:
            used.update((function.name, function.system_name, function.filename))
        for mapping in profile.mapping:
            used |= {mapping.filename, mapping.build_id}
        for kind in (*profile.sample_type, profile.period_type):
            used |= {kind.type, kind.unit}
        used.update(profile.comment)
        used |= {profile.drop_frames, profile.keep_frames, profile.default_sample_type, _NO_STRING}
        for index in self._unused - used:
            self._table[index] = ""
