"""What the tests of the Django app share: a project, switched on for a test."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from django.test import override_settings
from opentelemetry.instrumentation.django import DjangoInstrumentor

from tests.django_adapter.django_project import OURS, Urls
from tests.support.journal_fixtures import journal, provider  # noqa: F401  fixtures


@pytest.fixture
def configure(recorder, provider):  # noqa: ARG001, F811  the recorder answers as a running agent
    """Return the way to switch a project on, until the test ends."""
    with ExitStack() as until_the_end:

        def configure(before=None, pyroscope=None, **settings):
            settings.setdefault("MIDDLEWARE", [OURS])
            until_the_end.enter_context(override_settings(**settings))
            until_the_end.callback(_uninstrument)
            if before is not None:
                before()
            setting = {"APPLICATION_NAME": "shop", "TRACER_PROVIDER": provider}
            until_the_end.enter_context(override_settings(PYROSCOPE=setting | (pyroscope or {})))

        yield configure


def _uninstrument():
    instrumentor = DjangoInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


@pytest.fixture
def project(request, configure, provider):  # noqa: F811  the fixture
    """Return the way to put a project together that the test is run for."""
    with ExitStack() as until_the_end:

        def project(view):
            until_the_end.enter_context(override_settings(ROOT_URLCONF=Urls(view)))
            return request.param(configure, provider)

        project.of = request.param
        yield project
