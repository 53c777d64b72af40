"""Whole pushes: bytes in, bytes out."""

import gzip

import pytest

from pyroscope_otel.link.marks import LABEL
from pyroscope_otel.pprof.inflating import MalformedGzip, TooLarge
from pyroscope_otel.pprof.messages import DecodeError, PprofProfile, PushRequest
from pyroscope_otel.pprof.pushes import decode_push
from pyroscope_otel.relay import translate as module
from pyroscope_otel.relay.translate import translate
from tests.relay.rows import MEMORY, Mark, body, labels_of, pprof, profiles_of, push, row


def both():
    cpu = pprof(row("work", Mark(1)), row("work", Mark(2)), row("work"))
    memory = pprof(
        row("work", Mark(1), values=[1, 2, 0, 0]),
        row("work", Mark(3), values=[1, 2, 1, 2]),
        types=MEMORY,
    )
    return push(process_cpu=cpu, memory=memory)


def test_translation_describes_the_push():
    result = translate(both().SerializeToString(), gzipped=False, labels_of=labels_of)
    assert set(result.until) == {"process_cpu", "memory"}
    assert result.live == {3}
    assert (result.samples, result.linked) == (5, 4)


def test_cpu_and_memory_get_the_same_labels():
    result = translate(both().SerializeToString(), gzipped=False, labels_of=labels_of)
    spans = {}
    for profile in decode_push(result.body, max_bytes=2**20):
        spans.setdefault(profile.sample_type, []).extend(
            sample.label("span_name") for sample in profile.samples
        )
    memory = ["GET /1", "GET /3"]
    assert spans == {"cpu": ["GET /1", "GET /2", None]} | {kind: memory for kind, _ in MEMORY}


@pytest.mark.parametrize("gzipped", [True, False])
def test_result_is_gzipped_even_if_the_push_was_not(gzipped):
    sent = body(row("work", Mark(1)))
    sent = sent if gzipped else gzip.decompress(sent)
    result = translate(sent, gzipped=gzipped, labels_of=labels_of)
    assert len(profiles_of(result.body)) == 1


def test_series_labels_and_unknown_fields_stay():
    request = both()
    before = request.SerializeToString() + b"\xa2\x06\x03abc"  # field 100
    result = translate(before, gzipped=False, labels_of=labels_of)
    after = gzip.decompress(result.body)
    assert after.endswith(b"\xa2\x06\x03abc")
    assert [series.labels for series in PushRequest.FromString(after).series] == [
        series.labels for series in request.series
    ]


def test_id_of_a_profile_stays():
    """`RawSample.id`, which the schema here does not list."""
    request = push(process_cpu=pprof(row("work", Mark(1))))
    request.series[0].samples[0].MergeFromString(b"\x12\x03uid")
    result = translate(request.SerializeToString(), gzipped=False, labels_of=labels_of)
    after = PushRequest.FromString(gzip.decompress(result.body))
    assert after.series[0].samples[0].SerializeToString().endswith(b"\x12\x03uid")


def test_labels_of_a_number_are_looked_up_once_per_push():
    asked = []

    def labels_of(number):
        asked.append(number)
        return ()

    rows = [row("a", Mark(1)), row("b", Mark(1)), row("c", Mark(2)), row("d", Mark(0)), row("e")]
    request = push(one=pprof(*rows), two=pprof(*rows, row("f", labels=[(LABEL, "0-3")])))
    translate(request.SerializeToString(), gzipped=False, labels_of=labels_of)
    assert sorted(asked) == [1, 2, 3]


@pytest.mark.usefixtures("reported")
def test_number_has_no_labels_if_the_lookup_raises(logged):
    def labels_of(number):
        if number == 1:
            raise LookupError("gone")
        return (("span_id", "2"),)

    result = translate(
        body(row("a", Mark(1)), row("b", Mark(1)), row("c", Mark(2))),
        gzipped=True,
        labels_of=labels_of,
    )
    assert [len(sample.label) for sample in profiles_of(result.body)[0].sample] == [0, 0, 1]
    (line,) = logged(1)
    assert line.startswith("ERROR pyroscope-otel failed to look up the span labels of samples")


def test_empty_push():
    result = translate(gzip.compress(b""), gzipped=True, labels_of=labels_of)
    assert gzip.decompress(result.body) == b""
    assert (result.until, result.samples) == ({}, 0)


def test_profile_without_samples():
    result = translate(body(), gzipped=True, labels_of=labels_of)
    assert list(profiles_of(result.body)[0].sample) == []


def with_sample(**fields):
    profile = pprof(row("work", Mark(1)))
    profile.sample.add(**fields)
    return push(process_cpu=profile).SerializeToString()


@pytest.mark.parametrize(
    ("sent", "gzipped", "error"),
    [
        (b"nonsense", True, MalformedGzip),
        (b"\xff" * 9, False, DecodeError),
        (push(a=PprofProfile()).SerializeToString()[:-1], False, DecodeError),
        (with_sample(label=[{"key": 2, "str": 999}]), False, None),
        (with_sample(location_id=[999]), False, None),
    ],
)
def test_invalid_push_raises(sent, gzipped, error):
    if error is None:
        # An invalid reference that does not concern marks is passed on to the server.
        translate(sent, gzipped=gzipped, labels_of=labels_of)
        return
    with pytest.raises(error):
        translate(sent, gzipped=gzipped, labels_of=labels_of)


def test_decompression_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_INFLATED_BYTES", 100)
    with pytest.raises(TooLarge):
        translate(gzip.compress(bytes(101)), gzipped=True, labels_of=labels_of)
