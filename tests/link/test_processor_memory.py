"""The processor keeps no memory of spans that are gone."""

from __future__ import annotations

import gc
import threading
import tracemalloc

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from tests.support.garbage import collected_by_hand

_FRAMES = 12


def test_spans_that_never_end_are_not_kept(tracer, recorder, now):
    """Scenario 31: labelled until detached, and freed with the last reference."""

    def request():
        with tracer.start_as_current_span("root", end_on_exit=False):
            assert now() == "root"
            with tracer.start_as_current_span("child", end_on_exit=False):
                assert now() == "root"
        assert now() is None

    request()
    recorder.log.clear()
    with collected_by_hand():
        for _ in range(10_000):
            request()
            recorder.log.clear()
        assert gc.collect() == 0


@pytest.mark.timeout(240)  # on a busy machine
def test_memory_does_not_grow(make_tracer, recorder, now):
    """Scenarios 27, 31, 32: 100,000 renamed root spans on 1,000 threads that die with labels."""

    def requests():
        for number in range(100):
            root = tracer.start_span("root")
            otel_context.attach(trace.set_span_in_context(root))
            root.update_name(f"renamed {number}")
            names.add(now())
            if number < 99:
                root.end()
        recorder.log.clear()

    def threads(count):
        for _ in range(count):
            thread = threading.Thread(target=requests)
            thread.start()
            thread.join()
        assert recorder.left_behind() == {}
        recorder.on_thread.clear()

    tracer = make_tracer(PyroscopeSpanProcessor())
    names = set()
    threads(1)
    gc.collect()
    gc.disable()
    try:
        threads(949)
        assert gc.collect() == 0
        tracemalloc.start(_FRAMES)
        # CPython keeps this many freed tuples for reuse.
        threads(40)
        before = tracemalloc.take_snapshot()
        threads(10)
        after = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert names == {f"renamed {number}" for number in range(100)}
    # Only what requests allocated: other threads of the process may allocate too.
    here = [tracemalloc.Filter(inclusive=True, filename_pattern=__file__, all_frames=True)]
    growth = after.filter_traces(here).compare_to(before.filter_traces(here), "traceback")
    # Memory kept for each of the thousand root spans would be several times as much.
    assert sum(one.size_diff for one in growth) < 8_000, "\n".join(
        f"{one}\n" + "\n".join(one.traceback.format()) for one in growth[:3]
    )
