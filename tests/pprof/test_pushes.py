"""Decoding a good push, and refusing a bad one."""

import functools
import gzip
import random
import tracemalloc

import pytest

from pyroscope_otel.pprof.messages import PprofProfile, PushRequest
from pyroscope_otel.pprof.pushes import Frame, MalformedPush, PushTooLarge, decode_push
from tests.support.pushes import body, pprof, push

MEBIBYTE = 1024 * 1024
WORK, MAIN = Frame("work", "app.py", 10), Frame("main", "app.py", 20)


def decode(content, *, max_bytes=MEBIBYTE, **options):
    return decode_push(content, max_bytes=max_bytes, **options)


def only_sample(message):
    ((sample,),) = [profile.samples for profile in decode(body(message))]
    return sample


def test_good_push():
    (profile,) = decode(body())
    assert profile.labels == {"service_name": "shop"}
    assert (profile.sample_type, profile.unit) == ("cpu", "nanoseconds")
    assert profile.time_nanos == 1_700_000_000_000_000_000
    assert profile.duration_nanos == 1_000_000_000
    (sample,) = profile.samples
    assert sample.value == 30_000_000
    assert sample.labels == (("request", "r1"),)
    assert sample.stack == (WORK, MAIN)


def test_gzipped_profile():
    assert decode(body(gzip.compress(pprof().SerializeToString()))) == decode(body())


def test_body_that_is_not_gzipped():
    assert decode(push().SerializeToString(), gzipped=False) == decode(body())


def test_empty_push():
    assert decode(gzip.compress(b"")) == []


def test_several_series_and_profiles_keep_their_order():
    request = PushRequest(series=[push(pprof(time_nanos=1), pprof(time_nanos=2)).series[0]] * 2)
    profiles = decode(gzip.compress(request.SerializeToString()))
    assert [profile.time_nanos for profile in profiles] == [1, 2, 1, 2]


def test_each_sample_type_is_a_profile():
    message = pprof(
        string_table=["", "cpu", "nanoseconds", "wall"],
        function=[],
        location=[],
        sample_type=[{"type": 1, "unit": 2}, {"type": 3, "unit": 2}],
        sample=[{"value": [5, 7]}],
    )
    cpu, wall = decode(body(message))
    assert (cpu.sample_type, cpu.samples[0].value) == ("cpu", 5)
    assert (wall.sample_type, wall.samples[0].value) == ("wall", 7)


def test_two_values_of_one_label_are_both_kept():
    """Mixed-up labels must be visible: our own tests look for them."""
    message = pprof()
    message.sample[0].label.add(key=6, str=3)
    sample = only_sample(message)
    assert sample.labels == (("request", "r1"), ("request", "work"))
    assert sample.label("request") == "r1"
    assert sample.label_values("request") == ("r1", "work")


def test_missing_label():
    sample = only_sample(pprof())
    assert sample.label("other") is None
    assert sample.label_values("other") == ()


def test_numeric_label_is_left_out_and_an_empty_string_is_not():
    message = pprof()
    message.sample[0].label.add(key=3, num=12)
    message.sample[0].label.add(key=4)
    assert only_sample(message).labels == (("request", "r1"), ("main", ""))


def test_inlined_functions_are_separate_frames():
    lines = [{"function_id": 1, "line": 10}, {"function_id": 2, "line": 20}]
    message = pprof(location=[{"id": 1, "line": lines}, {"id": 2, "line": []}])
    assert only_sample(message).stack == (WORK, MAIN)


def sample_with(**fields):
    return [{"location_id": [1], "value": [1], **fields}]


DANGLING = {
    "string of a label value": {"sample": sample_with(label=[{"key": 6, "str": 99}])},
    "string of a label key": {"sample": sample_with(label=[{"key": 8, "str": 7}])},
    "negative string": {"sample": sample_with(label=[{"key": -1, "str": 7}])},
    "string of a sample type": {"sample_type": [{"type": 99, "unit": 2}]},
    "string of a unit": {"sample_type": [{"type": 1, "unit": -(2**63)}]},
    "string of a function": {"function": [{"id": 1, "name": 99}, {"id": 2}]},
    "string of a file": {"function": [{"id": 1, "filename": 99}, {"id": 2}]},
    "location": {"sample": sample_with(location_id=[3])},
    "no location": {"location": []},
    "function": {"location": [{"id": 1, "line": [{"function_id": 3}]}, {"id": 2}]},
    "no function": {"function": []},
    "no string table": {"string_table": []},
    "string table without the empty string": {"string_table": ["a"] * 8},
    "two locations of one id": {"location": [{"id": 1}, {"id": 2}, {"id": 1}]},
    "two functions of one id": {"function": [{"id": 1}, {"id": 2}, {"id": 1}]},
    "too few values": {"sample": sample_with(value=[])},
    "too many values": {"sample": sample_with(value=[1, 2])},
}


@pytest.mark.parametrize("changes", DANGLING.values(), ids=DANGLING.keys())
def test_inconsistent_profile_is_refused(changes):
    with pytest.raises(MalformedPush):
        decode(body(pprof(**changes)))


GOOD = body()
MALFORMED = {
    "empty": b"",
    "no gzip": b"hello",
    "zlib instead of gzip": b"\x78\x9c\x03\x00\x00\x00\x00\x01",
    "truncated gzip": GOOD[:-1],
    "gzip header only": GOOD[:10],
    "wrong checksum": GOOD[:-8] + bytes([GOOD[-8] ^ 1]) + GOOD[-7:],
    "data after the gzip stream": GOOD + b"x",
    "two gzip streams": GOOD + GOOD,
    "no protobuf": gzip.compress(b"\xff" * 20),
    "inner: no protobuf": body(b"\xff" * 20),
    "inner: no gzip": body(b"\x1f\x8b hello"),
    "inner: truncated gzip": body(gzip.compress(b"\x0a" * 50)[:-4]),
    "string that is no UTF-8": gzip.compress(b"\x0a\x05\x0a\x03\x0a\x01\xff"),
    "two series labels of one name": gzip.compress(b"\x0a\x08" + b"\x0a\x02\x0a\x00" * 2),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_body_that_is_no_push_is_refused(content):
    with pytest.raises(MalformedPush):
        decode(content)


def test_all_errors_have_one_type():
    assert issubclass(PushTooLarge, MalformedPush)
    assert issubclass(MalformedPush, ValueError)


def test_error_names_the_fault():
    with pytest.raises(
        MalformedPush, match=r"^a profile refers to location 3, which is not in it$"
    ):
        decode(body(pprof(**DANGLING["location"])))


def test_limit_is_exact():
    content = push(b"").SerializeToString()
    objects = decode_cost(content)
    assert decode(content, max_bytes=objects, gzipped=False) == []
    with pytest.raises(PushTooLarge, match=rf"^the push expands to more than {objects - 1} bytes$"):
        decode(content, max_bytes=objects - 1, gzipped=False)


def decode_cost(content):
    return len(content) + 3 * 128  # the bytes; one series, one label, one raw profile


LONG = PprofProfile(string_table=["", "a" * 300_000]).SerializeToString()


@functools.cache
def bomb():
    # Not while the tests are collected, which each worker does.
    return gzip.compress(bytes(128 * MEBIBYTE), 1)


BOMBS = {
    "body": bomb,
    "profile": lambda: gzip.compress(push(bomb()).SerializeToString()),
    "many profiles that fit one by one": lambda: body(*[gzip.compress(LONG)] * 100),
}


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS.keys())
def test_decompression_bomb_is_never_inflated(make):
    """Memory stays near the limit, whatever the size of the inflated body."""
    content = make()
    tracemalloc.start()
    try:
        with pytest.raises(PushTooLarge):
            decode(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MEBIBYTE


def inlining_bomb():
    """Return a push of 50 stacks, each with 1,000 times a location of 1,000 inlined functions."""
    lines = [{"function_id": 1}] * 1000
    sample = {"location_id": [1] * 1000, "value": [1]}
    return pprof(location=[{"id": 1, "line": lines}], sample=[sample] * 50)


OBJECT_BOMBS = {
    "series": PushRequest(series=[{}] * 10_000),
    "series labels": PushRequest(series=[{"labels": [{}] * 10_000}]),
    "raw profiles": PushRequest(series=[{"samples": [{}] * 10_000}]),
    "sample types": push(pprof(sample_type=[{}] * 10_000, sample=[])),
    "functions": push(pprof(function=[{"id": i} for i in range(10_000)])),
    "locations": push(pprof(location=[{"id": i} for i in range(10_000)])),
    "samples": push(pprof(sample=[{"value": [1]}] * 10_000)),
    "sample labels": push(pprof(sample=sample_with(label=[{}] * 10_000))),
    "samples of several types": push(
        pprof(sample_type=[{}] * 4, sample=[{"value": [1, 2, 3, 4]}] * 3000)
    ),
    "lines": push(pprof(location=[{"id": 1, "line": [{"function_id": 1}] * 10_000}], sample=[])),
    "frames": push(inlining_bomb()),
    "frames of a location without lines": push(
        pprof(location=[{"id": 1}], sample=sample_with(location_id=[1] * 200_000))
    ),
}


@pytest.mark.parametrize("message", OBJECT_BOMBS.values(), ids=OBJECT_BOMBS.keys())
def test_few_bytes_for_many_objects_are_refused(message):
    content = message.SerializeToString()
    assert len(content) < MEBIBYTE // 2
    with pytest.raises(PushTooLarge):
        decode(content, gzipped=False)


def damaged(good, count, seed):
    """Yield copies of a push, each cut short or with a few bits flipped."""
    chance = random.Random(seed)  # noqa: S311 -- the same damage in every run
    for _ in range(count):
        content = bytearray(good)
        if chance.random() < 0.3:
            del content[chance.randrange(len(content)) :]
        else:
            for _ in range(chance.randint(1, 4)):
                content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        yield bytes(content)


@pytest.mark.parametrize("gzipped", [True, False])
def test_damaged_push_decodes_or_is_refused(gzipped):
    good = body() if gzipped else push().SerializeToString()
    outcomes = set()
    for content in damaged(good, count=3000, seed=20261122):
        try:
            decode(content, gzipped=gzipped)
        except MalformedPush as error:
            outcomes.add(type(error))
        else:
            outcomes.add(None)
    assert outcomes >= {None, MalformedPush}
