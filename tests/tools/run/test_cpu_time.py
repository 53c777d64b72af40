"""How the CPU time of a request is described."""

from __future__ import annotations

import pytest

from pyroscope_otel.tools.run.cpu_time import methods, shown

CLOCK = "CPU time is read from each thread's CPU clock (sampler stack)."
SAMPLES = (
    "CPU time is counted in samples (sampler pyspy): a thread that waits for a CPU counts "
    "as running."
)


@pytest.mark.parametrize(
    ("cpu_ns", "cpu_from", "text"),
    [
        (42_400_000, "clock", "on CPU 42 ms"),
        (40_000_000, "samples", "sampled 40 ms"),
        (None, None, "on CPU 0 ms"),
    ],
)
def test_clock_time_and_sampled_time_have_different_words(cpu_ns, cpu_from, text):
    assert shown({"cpu_ns": cpu_ns, "cpu_from": cpu_from}) == text


@pytest.mark.parametrize(
    ("cpu_from", "sentences"),
    [
        (["clock", "clock", None], [CLOCK]),
        (["samples"], [SAMPLES]),
        (["samples", "clock"], [CLOCK, SAMPLES]),
        ([None], []),
        ([], []),
    ],
)
def test_each_sampler_is_explained_once(cpu_from, sentences):
    assert methods(cpu_from) == sentences
