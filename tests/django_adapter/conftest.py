"""Shared fixtures: a Django project, enabled for the duration of a test."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from django.test import override_settings
from opentelemetry.instrumentation.django import DjangoInstrumentor

from tests.django_adapter.django_project import OURS, Urls
from tests.support.journal_fixtures import journal, provider  # noqa: F401  fixtures


@pytest.fixture
def configure(recorder, provider):  # noqa: ARG001, F811  the recorder stands in for a running agent
    """Return a function that enables a project until the test ends."""
    with ExitStack() as overrides:

        def configure(before=None, pyroscope=None, **settings):
            settings.setdefault("MIDDLEWARE", [OURS])
            overrides.enter_context(override_settings(**settings))
            overrides.callback(_uninstrument)
            if before is not None:
                before()
            setting = {"APPLICATION_NAME": "shop", "TRACER_PROVIDER": provider}
            overrides.enter_context(override_settings(PYROSCOPE=setting | (pyroscope or {})))

        yield configure


def _uninstrument():
    instrumentor = DjangoInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


@pytest.fixture
def project(request, configure, provider):  # noqa: F811  the fixture
    """Return the variant that this run of the test uses to set a project up."""
    with ExitStack() as overrides:

        def project(view):
            overrides.enter_context(override_settings(ROOT_URLCONF=Urls(view)))
            return request.param(configure, provider)

        project.of = request.param
        yield project
