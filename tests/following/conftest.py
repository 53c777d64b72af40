"""Each test here runs with marks, and in direct mode."""

import gc
import time

import pytest
from opentelemetry import context as otel_context

from pyroscope_otel import following
from pyroscope_otel.link.marks import MARKS


@pytest.fixture(params=["stack", "thread"])
def attribution(request):
    """Return how samples are attributed: "stack" or "thread"."""
    return request.param


@pytest.fixture
def case(recorder, provider, exporter, attribution, caplog):
    """Return a case whose samples wait for their upload. No number is in use after it."""
    from tests.following.held_case import Case

    gc.collect()
    before = in_use()
    MARKS.upload_kinds = {"process_cpu"}
    yield Case(recorder, provider, exporter, attribution)
    assert recorder.now() == {}
    MARKS.uploaded("process_cpu", time.time() + 60)
    MARKS.forget_samples()
    # A log record keeps the frames of its exception.
    caplog.get_records("call").clear()
    # A worker thread keeps its last job's context until it ends, some time after its loop.
    deadline = time.monotonic() + 20
    gc.collect()
    while in_use() > before and time.monotonic() < deadline:
        time.sleep(0.02)
        gc.collect()
    assert in_use() <= before


@pytest.fixture
def nothing_stays_attached(recorder):
    """Detach what the test leaves attached, before the invariants are checked."""
    outside = otel_context.attach(otel_context.set_value("outside", value=True))
    yield
    otel_context.detach(outside)
    assert recorder.now() == {}


@pytest.fixture
def removed(recorder):
    """Remove all hooks, and install them again after the test."""
    assert recorder.left_behind() == {}
    following.remove()
    attach = otel_context._RUNTIME_CONTEXT.attach
    yield
    following.remove()
    # Else the hooks of all later tests would call the test's replacement.
    assert otel_context._RUNTIME_CONTEXT.attach == attach
    following.install()


@pytest.fixture
def no_trace_function(recorder):
    """Remove the thread's trace function: a thread gets it when it first gets labels."""
    import greenlet

    assert recorder.now() == {}
    before = greenlet.settrace(None)
    yield
    greenlet.settrace(before)


def in_use():
    made, free = MARKS.count()
    return made - free
