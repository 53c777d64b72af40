"""Each test here is run with marks, and where nobody reads them."""

import sys
from pathlib import Path

import pytest

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
