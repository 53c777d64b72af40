"""Fixtures of the adapters' tests: settings, and a journal of one request."""

from __future__ import annotations

import pytest

from tests.support.journal_fixtures import journal, provider, settings  # noqa: F401  fixtures


@pytest.fixture
def assemble(request, settings):  # noqa: F811  the fixture
    """Return the function that makes the application of this variant."""

    def assemble(application):
        return request.param(application, settings)

    assemble.of = request.param
    return assemble
