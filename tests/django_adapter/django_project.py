"""A Django project with one view, and its variants, by the origin of the root span."""

from __future__ import annotations

import tempfile
from pathlib import Path

import django
import pytest
from django.conf import settings as django_settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.urls import path
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as AsgiContrib
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WsgiContrib

from pyroscope_otel import asgi, wsgi

OURS = "pyroscope_otel_django.middleware.PyroscopeMiddleware"
CONTRIB = "opentelemetry.instrumentation.django.middleware.otel_middleware._DjangoMiddleware"
# Sync and async in one class, like Django's middleware.
HYBRID = "django.middleware.security.SecurityMiddleware"
ROUTE = "items/<int:item>"
PATH = "/items/7"

# A file, because Django never closes a connection to a database in memory.
_folder = tempfile.TemporaryDirectory(prefix="django-project-")
_database = str(Path(_folder.name, "database"))

# One project per process, with profiling off: each test enables it.
django_settings.configure(
    SECRET_KEY="none",  # noqa: S106  not a secret
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["pyroscope_otel_django"],
    MIDDLEWARE=[OURS],
    PYROSCOPE={"ENABLED": False},
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": _database}},
    LOGGING_CONFIG=None,
    USE_TZ=True,
)
django.setup()


class Urls:
    """A URLconf with one view."""

    def __init__(self, view):
        self.urlpatterns = [path(ROUTE, view)]


class Project:
    """A configured project, as a WSGI or ASGI application."""

    def __init__(self, around_wsgi=None, around_asgi=None):
        self._around_wsgi = around_wsgi
        self._around_asgi = around_asgi

    def wsgi(self):
        return self._around_wsgi(WSGIHandler()) if self._around_wsgi else WSGIHandler()

    def asgi(self):
        return self._around_asgi(ASGIHandler()) if self._around_asgi else ASGIHandler()


# Our app applies contrib's instrumentation.


def ours_first(configure, provider):  # noqa: ARG001  the signature of all variants
    configure(MIDDLEWARE=[OURS, HYBRID])
    return Project()


def ours_below(configure, provider):  # noqa: ARG001
    configure(MIDDLEWARE=[HYBRID, OURS, HYBRID])
    return Project()


def ours_twice(configure, provider):  # noqa: ARG001
    configure(MIDDLEWARE=[OURS, OURS])
    return Project()


# The project applied contrib's instrumentation itself.


def contrib_above(configure, provider):
    configure(
        lambda: DjangoInstrumentor().instrument(tracer_provider=provider),
        MIDDLEWARE=[OURS, HYBRID],
    )
    return Project()


def contrib_below(configure, provider):
    configure(
        lambda: DjangoInstrumentor().instrument(tracer_provider=provider, middleware_position=2),
        MIDDLEWARE=[OURS, HYBRID],
    )
    return Project()


# A middleware around Django makes the root span.


def our_other_middleware_around(configure, provider):
    configure(MIDDLEWARE=[OURS, HYBRID])
    settings = {"application_name": "shop", "tracer_provider": provider}
    return Project(
        lambda app: wsgi.PyroscopeMiddleware(app, **settings),
        lambda app: asgi.PyroscopeMiddleware(app, **settings),
    )


def contrib_around(configure, provider):
    configure(MIDDLEWARE=[OURS, HYBRID], pyroscope={"INSTRUMENT": False})
    return Project(
        lambda app: WsgiContrib(app, tracer_provider=provider),
        lambda app: AsgiContrib(app, tracer_provider=provider, exclude_spans=["receive", "send"]),
    )


BY_US = (ours_first, ours_below, ours_twice)
BY_THE_PROJECT = (contrib_above, contrib_below)
AROUND = (our_other_middleware_around, contrib_around)
VARIANTS = BY_US + BY_THE_PROJECT + AROUND


def each_of(*variants):
    """Run a test once with each variant: its argument `project(view)` sets the project up."""
    return pytest.mark.parametrize(
        "project", variants, ids=lambda variant: variant.__name__, indirect=True
    )


each_variant = each_of(*VARIANTS)
