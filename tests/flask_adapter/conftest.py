"""Shared fixtures: the journal, and the variant that sets an application up."""

from __future__ import annotations

import pytest

from tests.support.journal_fixtures import journal, provider, settings  # noqa: F401  fixtures


@pytest.fixture
def assemble(request, settings):  # noqa: F811  the fixture
    """Return the variant that this run of the test uses to set an application up."""

    def assemble(make):
        return request.param(make, settings)

    assemble.of = request.param
    return assemble
