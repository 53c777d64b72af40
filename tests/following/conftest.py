"""Each test here is run with marks, and where nobody reads them."""

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
    """A case, whose samples wait for their upload."""
    from held_case import Case

    MARKS.upload_kinds = {"process_cpu"}
    yield Case(recorder, provider, exporter, attribution)
    assert recorder.now() == {}
    MARKS.uploaded("process_cpu", time.time() + 60)
    MARKS.forget_samples()
