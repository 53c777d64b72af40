"""The setting `PYROSCOPE`: its values, its errors, and overrides in tests."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.test import Client, override_settings
from opentelemetry.instrumentation.django import DjangoInstrumentor

from pyroscope_otel.link.profile import PROFILE_ID_ATTRIBUTE
from pyroscope_otel.setup.settings import SettingsError
from pyroscope_otel_django import configuration
from pyroscope_otel_django.configuration import read, read_project
from tests.django_adapter.django_project import CONTRIB, HYBRID, OURS, Urls


@pytest.fixture
def read_with(monkeypatch):
    """Return a function that reads a setting in a process that is not configured."""
    monkeypatch.setattr(configuration._state, "is_wanted", False)

    def read_with(pyroscope, read=read):
        with override_settings(PYROSCOPE=pyroscope):
            return read()

    return read_with


def test_unset_reads_the_environment_and_the_defaults(monkeypatch):
    monkeypatch.setenv("PYROSCOPE_APPLICATION_NAME", "shop")
    with override_settings():
        del settings.PYROSCOPE
        found = read()
    assert found.application_name == "shop"
    assert found.sources["application_name"] == "environment variable PYROSCOPE_APPLICATION_NAME"
    assert found.sources["sample_rate"] == "default"


def test_overrides_the_environment(read_with, monkeypatch):
    monkeypatch.setenv("PYROSCOPE_APPLICATION_NAME", "other")
    found = read_with({"APPLICATION_NAME": "shop", "TAGS": {"region": "eu"}, "SAMPLE_RATE": None})
    assert (found.application_name, found.tags, found.sample_rate) == (
        "shop",
        {"region": "eu"},
        100,
    )
    assert found.sources["tags"] == "Django setting PYROSCOPE['TAGS']"


NAMES = (
    "the settings are APPLICATION_NAME, SERVER_ADDRESS, BASIC_AUTH_USERNAME, "
    "BASIC_AUTH_PASSWORD, AUTH_TOKEN, TENANT_ID, HTTP_HEADERS, TAGS, SAMPLE_RATE, "
    "UPLOAD_INTERVAL, ONCPU, GIL_ONLY, CPU_ENABLED, CPU_IMPLEMENTATION, LINE_NO, MEM_ENABLED, "
    "MEM_MAX_NFRAME, MEM_HEAP_SAMPLE_SIZE, MEM_ENABLE_MEM_DOMAIN, REPORT_PID, "
    "REPORT_THREAD_ID, REPORT_THREAD_NAME, ENABLE_LOGGING, ENABLED, SPAN_LABELS, "
    "ATTRIBUTION, MAX_SPAN_NAMES, UPLOAD_BUFFER, START, "
    "TRACER_PROVIDER, INSTRUMENT"
)


@pytest.mark.parametrize(
    ("pyroscope", "message"),
    [
        (
            {"SAMPLE_RAT": "sesame"},
            (
                "Django setting PYROSCOPE['SAMPLE_RAT'] is not a setting; "
                "did you mean Django setting PYROSCOPE['SAMPLE_RATE']?"
            ),
        ),
        (
            {"sample_rate": 5},
            (
                "Django setting PYROSCOPE['sample_rate'] is not a setting; "
                "did you mean Django setting PYROSCOPE['SAMPLE_RATE']?"
            ),
        ),
        (
            {"INSTRUMNET": False},
            (
                "Django setting PYROSCOPE['INSTRUMNET'] is not a setting; "
                "did you mean Django setting PYROSCOPE['INSTRUMENT']?"
            ),
        ),
        (
            {"COLOUR": "red"},
            f"Django setting PYROSCOPE['COLOUR'] is not a setting; {NAMES}",
        ),
        ({7: "red"}, f"Django setting PYROSCOPE[7] is not a setting; {NAMES}"),
        (
            {"SAMPLE_RATE": 0},
            (
                "sample_rate must be a whole number of samples per second, 1 to 1000000; "
                "Django setting PYROSCOPE['SAMPLE_RATE'] is 0"
            ),
        ),
        (
            {"INSTRUMENT": "no"},
            "INSTRUMENT must be True or False; Django setting PYROSCOPE['INSTRUMENT'] is 'no'",
        ),
        (
            {"INSTRUMENT": 0},
            "INSTRUMENT must be True or False; Django setting PYROSCOPE['INSTRUMENT'] is 0",
        ),
        (
            "sesame",
            "Django setting PYROSCOPE must be a dict; it is of type str",
        ),
        (None, "Django setting PYROSCOPE must be a dict; it is of type NoneType"),
    ],
)
def test_wrong_setting_is_refused(read_with, pyroscope, message):
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        read_with(pyroscope)


@pytest.mark.parametrize(("given", "instrument"), [(None, True), (True, True), (False, False)])
def test_instrument(read_with, given, instrument):
    assert read_with({"INSTRUMENT": given}, read_project) == ({}, instrument)


# OpenTelemetry's instrumentation.


@pytest.mark.parametrize(
    ("middleware", "instrumented"),
    [
        ([OURS, HYBRID], [OURS, CONTRIB, HYBRID]),
        ([HYBRID, OURS], [HYBRID, OURS, CONTRIB]),
        ((OURS, HYBRID), [OURS, CONTRIB, HYBRID]),
        ([HYBRID], [CONTRIB, HYBRID]),
    ],
)
def test_instrumentation_is_right_below_our_middleware(configure, middleware, instrumented):
    configure(MIDDLEWARE=middleware)
    assert instrumented == settings.MIDDLEWARE


def test_environment_sets_the_position_of_the_instrumentation(configure, monkeypatch):
    monkeypatch.setenv("OTEL_PYTHON_DJANGO_MIDDLEWARE_POSITION", "2")
    configure(MIDDLEWARE=[OURS, HYBRID])
    assert settings.MIDDLEWARE == [OURS, HYBRID, CONTRIB]


def test_instrumentation_by_the_project_is_unchanged(configure, caplog):
    configure(DjangoInstrumentor().instrument, MIDDLEWARE=[OURS])
    assert settings.MIDDLEWARE == [CONTRIB, OURS]
    assert caplog.records == []


def test_instrumentation_switched_off(configure):
    configure(MIDDLEWARE=[OURS], pyroscope={"INSTRUMENT": False})
    assert settings.MIDDLEWARE == [OURS]


# Overrides in the tests of a project.


def answer_id(request, item):  # noqa: ARG001
    return HttpResponse(str(request.__dict__.get("pyroscope_profile_id", "unset")))


@pytest.fixture
def get(configure, exporter):
    """Return a function that makes a request and returns its profile id."""
    configure(ROOT_URLCONF=Urls(answer_id))

    def get(client):
        exporter.clear()
        text = client.get("/items/7").content.decode()
        (span,) = exporter.get_finished_spans()
        assert span.attributes.get(PROFILE_ID_ATTRIBUTE, "None") == text
        return text

    return get


def test_override_is_in_force_inside_its_block_only(get):
    client = Client()
    assert len(get(client)) == 16
    with override_settings(PYROSCOPE={"ENABLED": False}):
        assert get(client) == "None"
    assert len(get(client)) == 16


def test_override_that_switches_on(recorder, provider, exporter):  # noqa: ARG001  as an agent
    with override_settings(
        ROOT_URLCONF=Urls(answer_id),
        PYROSCOPE={"APPLICATION_NAME": "shop", "TRACER_PROVIDER": provider},
        MIDDLEWARE=[OURS],
    ):
        assert len(Client().get("/items/7").content) == 16
        assert len(exporter.get_finished_spans()) == 1
        DjangoInstrumentor().uninstrument()
    with override_settings(ROOT_URLCONF=Urls(answer_id), MIDDLEWARE=[OURS]):
        assert Client().get("/items/7").content == b"unset"


def test_override_that_changes_a_setting(get, provider):
    first = get(Client())
    changed = {"APPLICATION_NAME": "shop", "TRACER_PROVIDER": provider, "SAMPLE_RATE": 50}
    with override_settings(PYROSCOPE=changed):
        assert get(Client()) != first
        assert read().sample_rate == 50


def test_wrong_override_fails_checks_and_requests(get):
    get(Client())
    with override_settings(PYROSCOPE={"START": "later"}):
        message = "start must be 'lazy' or 'now'; Django setting PYROSCOPE['START'] is 'later'"
        assert [found.msg for found in run_checks(tags=["pyroscope"])] == [message]
        with pytest.raises(ImproperlyConfigured, match=f"^{re.escape(message)}$"):
            Client().get("/items/7")
    assert len(get(Client())) == 16


def test_override_of_another_setting_changes_nothing(get, provider):
    registered = provider._active_span_processor._span_processors
    with override_settings(USE_TZ=False):
        assert provider._active_span_processor._span_processors is registered
    assert get(Client())
