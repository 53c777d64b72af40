"""The source of a small Django project, for tests that run it in a process of its own."""

from __future__ import annotations

PROJECT = """
import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import path
from opentelemetry import trace
from pyroscope_otel.setup import agent
from pyroscope_otel.link import thread_labels

ids = []

def view(request):
    ids.append(request.pyroscope_profile_id)
    return HttpResponse("x")

urlpatterns = [path("", view)]

def set_up(**more):
    settings.configure(**{
        "SECRET_KEY": "none",
        "ALLOWED_HOSTS": ["*"],
        "DEBUG": True,
        "INSTALLED_APPS": ["pyroscope_otel_django"],
        "MIDDLEWARE": ["pyroscope_otel_django.middleware.PyroscopeMiddleware"],
        "PYROSCOPE": {"APPLICATION_NAME": "shop"},
        "ROOT_URLCONF": __name__,
        "USE_TZ": True,
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        "SILENCED_SYSTEM_CHECKS": ["pyroscope_otel_django.W003"],
    } | more)

def has_provider():
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)

def state():
    "Print which hold: configured, armed (the next root span starts the agent), running."
    words = {
        "configured": has_provider(),
        "armed": agent.AGENT.needed,
        "running": thread_labels.agent_is_running(),
    }
    print(*[word for word, holds in words.items() if holds] or ["nothing"])

def root_span():
    with trace.get_tracer("shop").start_as_current_span("job"):
        pass
"""


def with_start(start):
    return f'PYROSCOPE={{"APPLICATION_NAME": "shop", "START": {start!r}}}'


SERVE_ONE = """
import io
from django.core.management.commands import runserver

def serve_one(address, port, handler, **_):
    state()
    environ = RequestFactory()._base_environ(PATH_INFO="/")
    print(b"".join(handler(environ, lambda *_: None)))
    state()
    print(ids[0] is not None, len(ids))

runserver.run = serve_one
"""
