"""The message classes."""

import subprocess
import sys

from pyroscope_otel.pprof.messages import PprofProfile, PushRequest, PushResponse


def test_wire_format_of_a_push():
    """Field numbers are those of the public schemas, written out here byte by byte."""
    raw = PushRequest.FromString(
        b"\x0a\x14"  # series
        b"\x0a\x06\x0a\x01n\x12\x01v"  # its label n=v
        b"\x12\x0a\x0a\x03abc\x12\x03uid"  # its sample: raw_profile, and an id that we skip
    )
    assert [(label.name, label.value) for label in raw.series[0].labels] == [("n", "v")]
    assert raw.series[0].samples[0].raw_profile == b"abc"


def test_wire_format_of_a_profile():
    profile = PprofProfile.FromString(
        b"\x0a\x04\x08\x01\x10\x02"  # sample_type: type 1, unit 2
        b"\x12\x0f\x0a\x02\x03\x04\x12\x01\x05\x1a\x06\x08\x06\x10\x07\x18\x08"  # sample
        b"\x22\x08\x08\x03\x22\x04\x08\x09\x10\x0a"  # location 3: function 9, line 10
        b"\x2a\x06\x08\x09\x10\x0b\x20\x0c"  # function 9: name 11, file 12
        b"\x32\x00\x32\x03cpu"  # string table
        b"\x48\x0d\x50\x0e"  # time, duration
    )
    assert (profile.sample_type[0].type, profile.sample_type[0].unit) == (1, 2)
    sample = profile.sample[0]
    assert (list(sample.location_id), list(sample.value)) == ([3, 4], [5])
    assert (sample.label[0].key, sample.label[0].str, sample.label[0].num) == (6, 7, 8)
    location = profile.location[0]
    assert (location.id, location.line[0].function_id, location.line[0].line) == (3, 9, 10)
    function = profile.function[0]
    assert (function.id, function.name, function.filename) == (9, 11, 12)
    assert list(profile.string_table) == ["", "cpu"]
    assert (profile.time_nanos, profile.duration_nanos) == (13, 14)


def test_push_response_is_empty():
    assert PushResponse().SerializeToString() == b""


def test_error_without_protobuf_names_the_command():
    code = (
        "import sys; sys.modules['google.protobuf'] = None\n"
        "try:\n    import pyroscope_otel.tools.receiver\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=50
    )
    assert done.stdout == (
        "pyroscope_otel reads profiles with the package 'protobuf', which is not installed. "
        "Install it with: pip install protobuf\n"
    )
