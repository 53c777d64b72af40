"""Decodes the doctor's hand-made push."""

from __future__ import annotations

import time

from pyroscope_otel.pprof.pushes import decode_push
from pyroscope_otel.tools.doctor.push import push_body


def test_push_is_like_that_of_an_agent():
    labels = {"service_name": "doctor", "region": "é" * 200}
    before = time.time_ns()
    (profile,) = decode_push(
        push_body(labels, {"span_id": "0123456789abcdef", "trace_id": "ab" * 16}),
        max_bytes=1 << 20,
    )
    assert profile.labels == {"__name__": "process_cpu", **labels}
    assert (profile.sample_type, profile.unit) == ("cpu", "nanoseconds")
    assert before <= profile.time_nanos <= time.time_ns()
    (sample,) = profile.samples
    assert sample.labels == (("span_id", "0123456789abcdef"), ("trace_id", "ab" * 16))
    assert sample.value == profile.duration_nanos == 10_000_000
    assert [frame.function for frame in sample.stack] == ["pyroscope-otel doctor"]
