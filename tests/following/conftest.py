"""Each test here is run with marks, and where nobody reads them."""

import gc
import sys
import time
from pathlib import Path

import pytest

from pyroscope_otel.marks import MARKS

# Requests and the servers for them are those of the adapters' tests.
for sibling in ("adapters", "django_adapter"):
    sys.path.append(str(Path(__file__).parents[1] / sibling))


@pytest.fixture(params=["stack", "thread"])
def attribution(request):
    """What tells whose a sample is."""
    return request.param


@pytest.fixture
def marks_alone(attribution):
    """For what marks alone can do, or is about them."""
    if attribution == "thread":
        pytest.skip("where nobody reads marks, there are none")


@pytest.fixture
def case(recorder, provider, exporter, attribution):
    """A case, whose samples wait for their upload. No number is in use after it."""
    from held_case import Case

    gc.collect()
    before = in_use()
    MARKS.upload_kinds = {"process_cpu"}
    yield Case(recorder, provider, exporter, attribution)
    assert recorder.now() == {}
    MARKS.uploaded("process_cpu", time.time() + 60)
    MARKS.forget_samples()
    # A worker thread has its last job's context until it has ended: some time after its loop.
    deadline = time.monotonic() + 20
    while in_use() > before and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    assert in_use() <= before


def in_use():
    made, free = MARKS.count()
    return made - free
