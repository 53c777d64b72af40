"""Each test here is run with marks, and where nobody reads them."""

import pytest


@pytest.fixture(params=["stack", "thread"])
def attribution(request):
    """What tells whose a sample is."""
    return request.param


@pytest.fixture
def marks_alone(attribution):
    """For what marks alone can do, or is about them."""
    if attribution == "thread":
        pytest.skip("where nobody reads marks, there are none")
