"""The system checks: each finding, and that a project without fault has none."""

from __future__ import annotations

import sys

import pytest
from django.core.checks import run_checks
from django.test import override_settings
from django_project import CONTRIB, HYBRID, OURS
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from pyroscope_otel import tracing
from pyroscope_otel_django import configuration


@pytest.fixture
def check(provider, monkeypatch):
    """Return the way to check a project, in a process that was not asked to configure itself."""
    monkeypatch.setattr(configuration._state, "is_wanted", False)
    monkeypatch.setattr(tracing.trace, "get_tracer_provider", lambda: no_provider)
    no_provider = tracing.trace.ProxyTracerProvider()
    # What was instrumented is not known to an override of MIDDLEWARE.
    middleware = {"MIDDLEWARE": [OURS]}

    def check(*, deploy=False, tracer_provider=provider, pyroscope=None, **settings):
        setting = {
            "APPLICATION_NAME": "shop",
            "TRACER_PROVIDER": tracer_provider,
            "INSTRUMENT": False,
        }
        overridden = middleware | settings | {"PYROSCOPE": setting | (pyroscope or {})}
        with override_settings(**overridden):
            found = run_checks(tags=["pyroscope"], include_deployment_checks=deploy)
        return [(message.id, message.msg, message.hint) for message in found]

    return check


def test_a_project_without_fault(check):
    assert check(deploy=True) == []


def test_wrong_settings(check):
    assert check(pyroscope={"COLOR": "red", "SAMPLE_RATE": 5}, MIDDLEWARE=[])[0] == (
        "pyroscope_otel_django.E001",
        "Django setting PYROSCOPE['COLOR'] is not a setting; the settings are "
        + ", ".join(configuration._NAMES),
        (
            "No process serves requests with it. It is in PYROSCOPE in the project's settings, "
            "or in the environment variable named."
        ),
    )


def test_wrong_settings_are_all_that_is_said(check):
    assert [one for one, _, _ in check(pyroscope={"SAMPLE_RATE": 0}, MIDDLEWARE=[])] == [
        "pyroscope_otel_django.E001"
    ]


def test_a_wrong_environment_variable(check, monkeypatch):
    monkeypatch.setenv("PYROSCOPE_ONCPU", "perhaps")
    ((_, message, _),) = check()
    assert message == (
        "oncpu must be true or false; environment variable PYROSCOPE_ONCPU is 'perhaps'"
    )


def test_the_instrumentation_is_missing(check, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.django", None)
    assert check(pyroscope={"INSTRUMENT": True}) == [
        (
            "pyroscope_otel_django.E002",
            (
                "pyroscope_otel_django needs opentelemetry-instrumentation-django to make a root "
                "span for each request. Install it with: pip install 'pyroscope-otel[django]'. "
                "Where something else makes the spans, set PYROSCOPE['INSTRUMENT'] to False"
            ),
            None,
        )
    ]


def test_the_middleware_is_missing(check):
    assert check(MIDDLEWARE=[HYBRID]) == [
        (
            "pyroscope_otel_django.W001",
            f"{OURS} is not in MIDDLEWARE.",
            (
                "Put it first. Without it runserver takes no profiles, streaming responses are in "
                "none, and requests have no pyroscope_profile_id."
            ),
        )
    ]


@pytest.mark.parametrize("above", [[], [HYBRID] * 2, [CONTRIB, HYBRID, HYBRID]])
def test_the_middleware_is_near_the_top(check, above):
    assert check(MIDDLEWARE=[*above, OURS, HYBRID]) == []


def test_the_middleware_is_not_near_the_top(check):
    assert check(MIDDLEWARE=[CONTRIB, HYBRID, "b", "c", OURS]) == [
        (
            "pyroscope_otel_django.W002",
            f"{OURS} stands below 3 others in MIDDLEWARE.",
            f"Put it first. Not in any request's profile: {HYBRID}, b, c.",
        )
    ]


EXPORT = (
    "Set the environment variable OTEL_EXPORTER_OTLP_ENDPOINT, and "
    "pip install 'pyroscope-otel[otlp]'. Where only the server's start-up makes the provider, "
    "put pyroscope_otel_django.W003 into SILENCED_SYSTEM_CHECKS."
)
SHOP = Resource({"service.name": "shop"})


def test_a_provider_without_an_exporter(check):
    assert check(tracer_provider=TracerProvider(resource=SHOP, shutdown_on_exit=False)) == [
        (
            "pyroscope_otel_django.W003",
            "The tracer provider has no exporter: traces go nowhere.",
            EXPORT,
        )
    ]


def test_no_provider_and_no_endpoint(check, monkeypatch):
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    assert check(tracer_provider=None) == [
        (
            "pyroscope_otel_django.W003",
            "There is no tracer provider, and the one that is made exports nowhere.",
            EXPORT,
        )
    ]


@pytest.mark.parametrize(
    "variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
)
def test_no_provider_and_an_endpoint(check, variable, monkeypatch):
    monkeypatch.setenv(variable, "http://localhost:4318")
    assert check(tracer_provider=None) == []


class OtherProvider:
    """Not built as the SDK's, so that nobody can see what it exports."""

    def add_span_processor(self, processor): ...


def test_a_provider_that_cannot_be_looked_into(check):
    assert check(tracer_provider=OtherProvider()) == []


MATCH = (
    "Grafana's link from a trace finds no profile unless both match: set "
    "PYROSCOPE['APPLICATION_NAME'] or the environment variable OTEL_SERVICE_NAME."
)


def test_the_names_differ(check):
    assert check(pyroscope={"APPLICATION_NAME": "store"}) == [
        (
            "pyroscope_otel_django.W004",
            "Profiles have service_name 'store', traces have service.name 'shop'.",
            MATCH,
        )
    ]


def test_a_tag_makes_the_names_differ(check):
    ((found, message, _),) = check(pyroscope={"TAGS": {"service_name": "store"}})
    assert found == "pyroscope_otel_django.W004"
    assert message == "Profiles have service_name 'store', traces have service.name 'shop'."


def test_a_provider_that_is_yet_to_be_made_has_another_name(check, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "store")
    assert [one for one, _, _ in check(tracer_provider=None)] == ["pyroscope_otel_django.W004"]


def test_a_provider_without_a_name(check, exporter):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    assert [one for one, _, _ in check(tracer_provider=provider)] == ["pyroscope_otel_django.W004"]


# With --deploy.

LOGIN = {"BASIC_AUTH_USERNAME": "me", "BASIC_AUTH_PASSWORD": "sesame"}


@pytest.mark.parametrize(
    "credentials",
    [LOGIN, {"AUTH_TOKEN": "sesame"}, {"HTTP_HEADERS": {"X-Key": "sesame"}}],
    ids=["login", "token", "header"],
)
def test_credentials_in_plain_text(check, credentials):
    pyroscope = {"SERVER_ADDRESS": "http://profiles.example:4040", **credentials}
    assert check(pyroscope=pyroscope) == []
    assert check(deploy=True, pyroscope=pyroscope) == [
        (
            "pyroscope_otel_django.W005",
            (
                "The credentials for the Pyroscope server cross the network in plain text: "
                "SERVER_ADDRESS is 'http://profiles.example:4040'."
            ),
            "Use an address that begins with https://.",
        )
    ]


def test_credentials_in_the_address(check):
    address = "http://me:sesame@profiles.example"
    ((_, message, _),) = check(deploy=True, pyroscope={"SERVER_ADDRESS": address})
    assert message.endswith("SERVER_ADDRESS is 'http://***@profiles.example'.")


@pytest.mark.parametrize(
    "address",
    [
        "https://profiles.example",
        "http://localhost:4040",
        "http://profiles.localhost",
        "http://127.0.0.1:4040",
        "http://[::1]:4040",
    ],
)
def test_credentials_that_nobody_can_read(check, address):
    assert check(deploy=True, pyroscope={"SERVER_ADDRESS": address, **LOGIN}) == []


def test_plain_text_without_credentials(check):
    assert check(deploy=True, pyroscope={"SERVER_ADDRESS": "http://profiles.example"}) == []


def test_switched_off_there_is_nothing_to_say(check):
    pyroscope = {"ENABLED": False, "SERVER_ADDRESS": "http://profiles.example", **LOGIN}
    assert check(deploy=True, tracer_provider=None, MIDDLEWARE=[], pyroscope=pyroscope) == []
