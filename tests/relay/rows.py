"""Pushes of an agent with marks, built from readable rows and turned back into them."""

import gzip
from dataclasses import dataclass

from pyroscope_otel.link.marks import FILENAME
from pyroscope_otel.pprof.messages import PprofProfile, PushRequest
from pyroscope_otel.relay.translate import translate

CPU = (("cpu", "nanoseconds"),)
MEMORY = (
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
)


@dataclass(frozen=True)
class Mark:
    """The frame of a mark."""

    number: int


@dataclass(frozen=True)
class Row:
    """A sample: its frames from the leaf on, its labels, its values.

    A frame is a name, which may have a line ("work:7"), a mark, or a list of these that share a
    location.
    """

    frames: tuple
    labels: tuple = ()
    values: tuple = (10,)


def row(*frames, labels=(), values=(10,)):
    return Row(frames, tuple(labels), tuple(values))


class Table:
    """Builds a profile's tables as the agent does: each entry once, ids from 1."""

    def __init__(self, types):
        self.profile = PprofProfile(string_table=[""], time_nanos=1, period=10)
        self.strings = {"": 0}
        self.functions = {}
        self.locations = {}
        for kind, unit in types:
            self.profile.sample_type.add(type=self.string(kind), unit=self.string(unit))

    def string(self, string):
        index = self.strings.setdefault(string, len(self.strings))
        if index == len(self.profile.string_table):
            self.profile.string_table.append(string)
        return index

    def function(self, name, file):
        identity = self.functions.setdefault((name, file), len(self.functions) + 1)
        if identity > len(self.profile.function):
            self.profile.function.add(
                id=identity, name=self.string(name), filename=self.string(file)
            )
        return identity

    def location(self, frame):
        lines = []
        for part in frame if isinstance(frame, list) else [frame]:
            if isinstance(part, Mark):
                lines.append((self.function("request", FILENAME), part.number))
            else:
                name, _, line = part.partition(":")
                lines.append((self.function(name, "app.py"), int(line or 1)))
        identity = self.locations.setdefault(tuple(lines), len(self.locations) + 1)
        if identity > len(self.profile.location):
            location = self.profile.location.add(id=identity)
            for function_id, line in lines:
                location.line.add(function_id=function_id, line=line)
        return identity


def pprof(*rows, types=CPU):
    """Return the profile of these rows."""
    table = Table(types)
    for one in rows:
        sample = table.profile.sample.add(
            location_id=[table.location(frame) for frame in one.frames], value=one.values
        )
        for key, value in one.labels:
            sample.label.add(key=table.string(key), str=table.string(value))
    return table.profile


def push(**profiles):
    """Return a push of these profiles by their kind."""
    request = PushRequest()
    for kind, profile in profiles.items():
        series = request.series.add()
        series.labels.add(name="__name__", value=kind)
        series.labels.add(name="service_name", value="shop")
        series.samples.add(raw_profile=profile.SerializeToString())
    return request


def body(*rows):
    """Return a push of a CPU profile with these rows, as it is sent."""
    return gzip.compress(push(process_cpu=pprof(*rows)).SerializeToString(), mtime=0)


def profiles_of(body):
    """Return the pprof profiles of a gzipped push."""
    request = PushRequest.FromString(gzip.decompress(body))
    return [
        PprofProfile.FromString(sample.raw_profile)
        for series in request.series
        for sample in series.samples
    ]


def rows_of(profile):
    """Return the rows of a profile."""
    strings = profile.string_table
    functions = {function.id: function for function in profile.function}
    locations = {location.id: location for location in profile.location}

    def frame(location):
        parts = []
        for line in location.line:
            function = functions[line.function_id]
            if strings[function.filename] == FILENAME:
                parts.append(Mark(line.line))
            else:
                parts.append(f"{strings[function.name]}:{line.line}".removesuffix(":1"))
        return parts[0] if len(parts) == 1 else parts

    return [
        row(
            *(frame(locations[identity]) for identity in sample.location_id),
            labels=[(strings[label.key], strings[label.str]) for label in sample.label],
            values=sample.value,
        )
        for sample in profile.sample
    ]


def labels_of(number):
    """Return the span labels that a number has in these tests."""
    return (("span_id", f"{number:016x}"), ("span_name", f"GET /{number}"))


def translated(*rows, types=CPU, labels_of=labels_of, **options):
    """Return the rows that the relay makes of these."""
    request = push(process_cpu=pprof(*rows, types=types)).SerializeToString()
    result = translate(request, gzipped=False, labels_of=labels_of, **options)
    (profile,) = profiles_of(result.body)
    return rows_of(profile)
