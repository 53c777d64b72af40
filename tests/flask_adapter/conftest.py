"""What the tests of the Flask extension share: the adapters' journal, and ways to set it up."""

from __future__ import annotations

import pytest

from tests.support.journal_fixtures import journal, provider, settings  # noqa: F401  fixtures


@pytest.fixture
def assemble(request, settings):  # noqa: F811  the fixture
    """Return the way to set an application up that the test is run for."""

    def assemble(make):
        return request.param(make, settings)

    assemble.of = request.param
    return assemble
