"""What the tests of the adapters share: settings, and a journal of one request."""

from __future__ import annotations

import pytest

from tests.support.journal_fixtures import journal, provider, settings  # noqa: F401  fixtures


@pytest.fixture
def assemble(request, settings):  # noqa: F811  the fixture
    """Return the way to make an application that the test is run for."""

    def assemble(application):
        return request.param(application, settings)

    assemble.of = request.param
    return assemble
