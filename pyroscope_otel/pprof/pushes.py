"""What a push says, as plain objects.

`decode_push` is the only way in. It takes bytes from anyone on the network, so
every reference inside them is checked and everything they expand to is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyroscope_otel.pprof.inflating import MalformedGzip, TooLarge, inflate
from pyroscope_otel.pprof.messages import DecodeError, PprofProfile, PushRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ("Frame", "MalformedPush", "PushTooLarge", "PushedProfile", "Sample", "decode_push")


class MalformedPush(ValueError):  # noqa: N818 -- reads better where it is raised and caught
    """The bytes are not a push that the receiver understands."""


class PushTooLarge(MalformedPush):
    """The push expands to more than the receiver was told to accept."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One function on a stack.

    Attributes:
        function: Its name, as the agent reports it.
        file: The source file, as the agent reports it.
        line: The line in that file, from 1; 0 where the agent does not know.
    """

    function: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured on one stack under one set of labels.

    Attributes:
        labels: The labels as (key, value) in the order sent. A key can occur
            twice: what the agent sent is kept as it is. Numeric labels are
            left out.
        value: The measurement, in the profile's unit: nanoseconds of CPU for
            the type `cpu`.
        stack: The frames, leaf first.
    """

    labels: tuple[tuple[str, str], ...]
    value: int
    stack: tuple[Frame, ...]

    def label(self, key: str) -> str | None:
        """Return the first value of a label, which is the one a Pyroscope server uses."""
        return next((value for name, value in self.labels if name == key), None)

    def label_values(self, key: str) -> tuple[str, ...]:
        """Return every value of a label: more than one means that the agent mixed them up."""
        return tuple(value for name, value in self.labels if name == key)


@dataclass(frozen=True, slots=True)
class PushedProfile:
    """The samples of one type that one push carries for one series.

    Attributes:
        labels: The series' labels, such as `service_name`.
        sample_type: What was measured, such as `cpu`.
        unit: The unit of the samples' values, such as `nanoseconds`.
        time_nanos: When collection began, in nanoseconds since the epoch (UTC).
        duration_nanos: How long it was collected, in nanoseconds.
        period: How far two samples are apart, in the profile's unit: what one
            sample stands for. 0 where the agent does not say.
        samples: The samples, in the order sent.
    """

    labels: Mapping[str, str]
    sample_type: str
    unit: str
    time_nanos: int
    duration_nanos: int
    period: int
    samples: tuple[Sample, ...]


def decode_push(body: bytes, *, max_bytes: int, gzipped: bool = True) -> list[PushedProfile]:
    """Decode the body of a push.

    A pprof profile with several sample types becomes one `PushedProfile` for each.

    Args:
        body: A `push.v1.PushRequest`. The pprof profiles in it may be gzipped
            each for itself.
        max_bytes: What the push may expand to, in bytes, all of it together:
            the inflated request, the inflated profiles, and an estimate for
            the objects decoded from them. While it parses, protobuf can need
            some 25 times as much for a push made of empty messages.
        gzipped: Whether the body is gzipped as a whole.

    Returns:
        The profiles, in the order sent.

    Raises:
        PushTooLarge: The push expands to more than `max_bytes`.
        MalformedPush: The push is no gzip, no protobuf, or refers to something
            that it does not contain.
    """
    allowance = _Allowance(max_bytes)
    if gzipped:
        body = _inflate(body, allowance, "the body")
    else:
        allowance.take(len(body))
    request = _parse(PushRequest, body, "the body is not a push.v1.PushRequest")
    allowance.take(len(request.series) * _OBJECT_COST)
    profiles: list[PushedProfile] = []
    for series in request.series:
        allowance.take(len(series.samples) * _OBJECT_COST)
        labels = _series_labels(series.labels, allowance)
        for sample in series.samples:
            profiles += _decode_pprof(sample.raw_profile, labels, allowance)
    return profiles


# Estimates, in bytes: one decoded object, and one place in a stack. They count
# because few bytes can ask for many objects: a stack that names a location of a
# thousand inlined functions a thousand times takes a few kilobytes on the wire.
_OBJECT_COST = 128
_FRAME_COST = 8


class _Allowance:
    """What the push may still expand to."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.left = max_bytes

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise self.exceeded()

    def exceeded(self) -> PushTooLarge:
        return PushTooLarge(f"the push expands to more than {self._max_bytes} bytes")


def _inflate(data: bytes, allowance: _Allowance, what: str) -> bytes:
    try:
        inflated = inflate(data, allowance.left)
    except TooLarge:
        raise allowance.exceeded() from None
    except MalformedGzip as error:
        raise MalformedPush(f"{what} {error}") from error
    allowance.take(len(inflated))
    return inflated


def _parse(message_class: Any, data: bytes, complaint: str) -> Any:
    message = message_class()
    try:
        message.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError) as error:
        raise MalformedPush(complaint) from error
    return message


def _series_labels(pairs: Any, allowance: _Allowance) -> dict[str, str]:
    allowance.take(len(pairs) * _OBJECT_COST)
    labels = {pair.name: pair.value for pair in pairs}
    if len(labels) != len(pairs):
        raise MalformedPush("a series has two labels of the same name")
    return labels


_GZIP_MAGIC = b"\x1f\x8b"  # never the start of a pprof profile: its wire type is invalid


def _decode_pprof(
    raw: bytes, labels: Mapping[str, str], allowance: _Allowance
) -> Iterator[PushedProfile]:
    if raw.startswith(_GZIP_MAGIC):
        raw = _inflate(raw, allowance, "a profile")
    message = _parse(PprofProfile, raw, "a profile is not pprof")
    decoder = _PprofDecoder(message, allowance)
    allowance.take(len(message.sample_type) * _OBJECT_COST)
    for index, value_type in enumerate(message.sample_type):
        yield PushedProfile(
            labels=labels,
            sample_type=decoder.string(value_type.type),
            unit=decoder.string(value_type.unit),
            time_nanos=message.time_nanos,
            duration_nanos=message.duration_nanos,
            period=message.period,
            samples=tuple(decoder.samples(index)),
        )


class _PprofDecoder:
    """Resolves the references inside one pprof profile."""

    def __init__(self, message: Any, allowance: _Allowance) -> None:
        self._message = message
        self._allowance = allowance
        self._string_table = message.string_table
        self._strings: dict[int, str] = {}
        if self._string_table and self._string_table[0] != "":
            raise MalformedPush("a profile's string table does not begin with the empty string")
        functions = self._by_id(message.function, "functions")
        self._frames = {
            identity: self._location_frames(location, functions)
            for identity, location in self._by_id(message.location, "locations").items()
        }
        self._rows = [self._row(sample) for sample in message.sample]

    def string(self, index: int) -> str:
        string = self._strings.get(index)
        if string is None:
            # A negative index would count from the end and find a wrong string.
            if not 0 <= index < len(self._string_table):
                raise MalformedPush(
                    f"a profile refers to string {index}, which it does not contain"
                )
            string = self._strings[index] = self._string_table[index]
        return string

    def samples(self, value_index: int) -> Iterator[Sample]:
        self._allowance.take(len(self._rows) * _OBJECT_COST)
        for labels, values, stack in self._rows:
            yield Sample(labels=labels, value=values[value_index], stack=stack)

    def _by_id(self, messages: Any, what: str) -> dict[int, Any]:
        self._allowance.take(len(messages) * _OBJECT_COST)
        found = {message.id: message for message in messages}
        if len(found) != len(messages):
            raise MalformedPush(f"a profile has two {what} of the same id")
        return found

    def _location_frames(self, location: Any, functions: dict[int, Any]) -> tuple[Frame, ...]:
        """Return a location's frames: several where functions were inlined, the inlined first."""
        self._allowance.take(len(location.line) * _OBJECT_COST)
        frames = []
        for line in location.line:
            function = functions.get(line.function_id)
            if function is None:
                raise MalformedPush(
                    f"a profile refers to function {line.function_id}, which is not in it"
                )
            name, file = self.string(function.name), self.string(function.filename)
            frames.append(Frame(function=name, file=file, line=line.line))
        return tuple(frames)

    def _row(self, sample: Any) -> tuple[tuple[tuple[str, str], ...], Any, tuple[Frame, ...]]:
        count, expected = len(sample.value), len(self._message.sample_type)
        if count != expected:
            raise MalformedPush(f"a sample has {count} values for {expected} sample types")
        self._allowance.take((1 + len(sample.label)) * _OBJECT_COST)
        return tuple(self._labels(sample.label)), sample.value, self._stack(sample.location_id)

    def _labels(self, labels: Any) -> Iterator[tuple[str, str]]:
        for label in labels:
            # Zero means "not set" on the wire: a label with neither is an empty string.
            if label.str or not label.num:
                yield self.string(label.key), self.string(label.str)

    def _stack(self, location_ids: Iterable[int]) -> tuple[Frame, ...]:
        stack: list[Frame] = []
        for identity in location_ids:
            frames = self._frames.get(identity)
            if frames is None:
                raise MalformedPush(f"a profile refers to location {identity}, which is not in it")
            self._allowance.take(max(1, len(frames)) * _FRAME_COST)
            stack += frames
        return tuple(stack)
