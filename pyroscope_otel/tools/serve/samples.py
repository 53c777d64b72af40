"""Converts a push to rows of the store: CPU time and allocations per profile and stack."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyroscope_otel.pprof.pushes import Frame, MalformedPush, decode_push
from pyroscope_otel.setup.findings.names import UNKNOWN_SERVICE
from pyroscope_otel.tools.serve.measures import CPU, MEASURES
from pyroscope_otel.tools.serve.text import profile_key, shortened

if TYPE_CHECKING:
    from pyroscope_otel.pprof.pushes import PushedProfile, Sample
    from pyroscope_otel.tools.serve.measures import Measure

__all__ = ("LARGEST_VALUE", "ProfileRow", "PushRows", "ServiceRow", "StackRow", "decode_samples")

_MAX_FRAMES = 1024
LARGEST_VALUE = 2**53  # the largest exact integer in JavaScript
_CUT = Frame(function="(further callers left out)", file="", line=0)


@dataclass(slots=True)
class StackRow:
    """The values of one stack (root first), one for each measure's column."""

    frames: tuple[Frame, ...]
    cpu_ns: int = 0
    samples: int = 0
    alloc_bytes: int = 0
    alloc_objects: int = 0


@dataclass(slots=True)
class ProfileRow:
    """The samples of one profile id in a push.

    Attributes:
        service: The service.
        name: The label `span_name`.
        cpu_clock: See `ServiceRow`. None without CPU samples.
        last_seen_ns: The start of the last upload window with CPU samples of the profile, in
            nanoseconds since the epoch. The request ran then or later.
        allocates: Whether there are memory samples.
        stacks: The samples, by a key that identifies their stack within the push.
    """

    service: str
    name: str
    cpu_clock: bool | None = None
    last_seen_ns: int = 0
    allocates: bool = False
    stacks: dict[int, StackRow] = field(default_factory=dict)


@dataclass(slots=True)
class ServiceRow:
    """What a push reveals about a service.

    Attributes:
        samples_without_request: The number of CPU samples without a profile id.
        memory: Whether its memory is profiled.
        cpu_clock: True if CPU time was read from thread CPU clocks (the sampler Stack), False
            if it is the number of samples times their period (PySpy), None if unknown.
    """

    samples_without_request: int = 0
    memory: bool = False
    cpu_clock: bool | None = None


@dataclass(slots=True)
class PushRows:
    """The rows from a push: profiles by key, and services by name."""

    profiles: dict[int, ProfileRow] = field(default_factory=dict)
    services: dict[str, ServiceRow] = field(default_factory=lambda: defaultdict(ServiceRow))


def decode_samples(body: bytes, *, max_bytes: int, gzipped: bool) -> PushRows:
    """Decode the body of an agent's push; see `pyroscope_otel.tools.receiver.decode_push`.

    Samples of types other than CPU time and allocations are accepted and ignored.

    Raises:
        PushTooLarge: The decoded push is larger than `max_bytes`.
        MalformedPush: The body is not a push, or a value is out of range.
    """
    decoding = _Decoding()
    # Keep all profiles until the end: samples of several types are joined by the identity of
    # their stack objects.
    profiles = decode_push(body, max_bytes=max_bytes, gzipped=gzipped)
    for profile in profiles:
        measure = MEASURES.get(profile.sample_type)
        if measure is not None and measure.unit == profile.unit:
            decoding.add(profile, measure)
    return decoding.rows


class _Decoding:
    def __init__(self) -> None:
        self.rows = PushRows()
        self._totals: dict[Measure, int] = defaultdict(int)

    def add(self, profile: PushedProfile, measure: Measure) -> None:
        name = shortened(profile.labels.get("service_name", "")) or UNKNOWN_SERVICE
        service = self.rows.services[name]  # creates the row
        clock = _from_clock(profile)
        if measure is CPU:
            service.cpu_clock = service.cpu_clock if clock is None else clock
        else:
            service.memory = True
        for sample in profile.samples:
            self._check(sample.value, measure)
            key = profile_key(sample.label("span_id"))
            if key is None:
                if measure is CPU:
                    service.samples_without_request += _count(sample, profile)
                continue
            # A stack with only live objects, without new allocations.
            if measure is not CPU and not sample.value:
                continue
            row, stack = self._rows(key, name, sample)
            setattr(stack, measure.column, getattr(stack, measure.column) + sample.value)
            if measure is CPU:
                row.cpu_clock = clock
                row.last_seen_ns = max(row.last_seen_ns, profile.time_nanos)
                # The period that Stack reports is not the interval between its samples.
                stack.samples += 0 if clock else _count(sample, profile)
            else:
                row.allocates = True

    def _rows(self, key: int, service: str, sample: Sample) -> tuple[ProfileRow, StackRow]:
        row = self.rows.profiles.get(key)
        if row is None:
            span_name = shortened(sample.label("span_name") or "")
            row = self.rows.profiles[key] = ProfileRow(service, span_name)
        stack = row.stacks.get(id(sample.stack))
        if stack is None:
            stack = row.stacks[id(sample.stack)] = StackRow(_root_first(sample.stack))
        return row, stack

    def _check(self, value: int, measure: Measure) -> None:
        what = f"{measure.unit} of {measure.name}"
        if not 0 <= value <= LARGEST_VALUE:
            raise MalformedPush(f"a sample has {value} {what}")
        self._totals[measure] += value
        if self._totals[measure] > LARGEST_VALUE:
            raise MalformedPush(f"the samples have more than {LARGEST_VALUE} {what} in all")


def _count(sample: Sample, profile: PushedProfile) -> int:
    return max(1, sample.value // profile.period) if profile.period > 0 else 1


def _from_clock(profile: PushedProfile) -> bool | None:
    """Return whether CPU time was read from a clock, or None if the profile does not tell.

    A push does not name its sampler, but the values show it: PySpy's are multiples of the
    period, and Stack's are microseconds from the thread's clock.
    """
    if not profile.samples:
        return None
    return profile.period > 0 and any(sample.value % profile.period for sample in profile.samples)


def _root_first(stack: tuple[Frame, ...]) -> tuple[Frame, ...]:
    if len(stack) > _MAX_FRAMES:
        stack = (*stack[: _MAX_FRAMES - 1], _CUT)
    return stack[::-1]
