"""The system checks: each finding, and a project without findings."""

from __future__ import annotations

import sys

import pytest
from django.core.checks import run_checks
from django.test import override_settings
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from pyroscope_otel.setup import tracing
from pyroscope_otel.setup.findings.exporting import Exports, exporters_asked_for, judge_exports
from pyroscope_otel.setup.findings.names import judge_names
from pyroscope_otel.setup.findings.profiling import judge_visibility
from pyroscope_otel.setup.settings import read_settings
from pyroscope_otel_django import configuration
from tests.django_adapter.django_project import CONTRIB, HYBRID, OURS


@pytest.fixture
def check(provider, monkeypatch):
    """Return a function that checks a project in a process that is not configured."""
    monkeypatch.setattr(configuration._state, "is_wanted", False)
    monkeypatch.setattr(tracing.trace, "get_tracer_provider", lambda: no_provider)
    no_provider = tracing.trace.ProxyTracerProvider()
    # The instrumentation has changed MIDDLEWARE, and an override does not know that.
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


def test_project_without_findings(check):
    assert check(deploy=True) == []


def test_wrong_settings(check):
    assert check(pyroscope={"COLOR": "red", "SAMPLE_RATE": 5}, MIDDLEWARE=[])[0] == (
        "pyroscope_otel_django.E001",
        "Django setting PYROSCOPE['COLOR'] is not a setting; the settings are "
        + ", ".join(configuration._NAMES),
        (
            "No process can serve requests with it. Fix PYROSCOPE in the project's settings, "
            "or the named environment variable."
        ),
    )


def test_wrong_settings_hide_other_findings(check):
    assert [one for one, _, _ in check(pyroscope={"SAMPLE_RATE": 0}, MIDDLEWARE=[])] == [
        "pyroscope_otel_django.E001"
    ]


def test_wrong_environment_variable(check, monkeypatch):
    monkeypatch.setenv("PYROSCOPE_ONCPU", "perhaps")
    ((_, message, _),) = check()
    assert message == (
        "oncpu must be true or false; environment variable PYROSCOPE_ONCPU is 'perhaps'"
    )


def test_instrumentation_is_missing(check, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.django", None)
    assert check(pyroscope={"INSTRUMENT": True}) == [
        (
            "pyroscope_otel_django.E002",
            (
                "pyroscope_otel_django needs opentelemetry-instrumentation-django to make a root "
                "span for each request. Install it with: "
                "pip install 'opentelemetry-instrumentation-django[asgi]>=0.56b0'. "
                "If something else makes the spans, set PYROSCOPE['INSTRUMENT'] to False"
            ),
            None,
        )
    ]


def test_middleware_is_missing(check):
    assert check(MIDDLEWARE=[HYBRID]) == [
        (
            "pyroscope_otel_django.W001",
            f"{OURS} is not in MIDDLEWARE.",
            (
                "Put it first. Without it, runserver takes no profiles, and requests have no "
                "pyroscope_profile_id."
            ),
        )
    ]


@pytest.mark.parametrize("above", [[], [HYBRID] * 2, [CONTRIB, HYBRID, HYBRID]])
def test_middleware_is_near_the_top(check, above):
    assert check(MIDDLEWARE=[*above, OURS, HYBRID]) == []


def test_middleware_is_not_near_the_top(check):
    assert check(MIDDLEWARE=[CONTRIB, HYBRID, "b", "c", OURS]) == [
        (
            "pyroscope_otel_django.W002",
            f"{OURS} is below 3 others in MIDDLEWARE.",
            f"Put it first. Above it: {HYBRID}, b, c.",
        )
    ]


def at_start_up(number):
    return (
        "If only the server's start-up makes the tracer provider, add "
        f"pyroscope_otel_django.{number} to SILENCED_SYSTEM_CHECKS."
    )


def as_warning(finding, number, hint=""):
    """Return the check message of a finding."""
    return (
        f"pyroscope_otel_django.{number}",
        finding.summary,
        f"{finding.remedy} {hint}".strip(),
    )


SHOP = Resource({"service.name": "shop"})


def test_provider_without_an_exporter(check):
    (finding,) = judge_exports(Exports((), ()))
    assert check(tracer_provider=TracerProvider(resource=SHOP, shutdown_on_exit=False)) == [
        as_warning(finding, "W003", at_start_up("W003"))
    ]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": "nix"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost", "OTEL_EXPORTER_OTLP_PROTOCOL": "nix"},
    ],
)
def test_made_provider_would_have_no_exporter(check, monkeypatch, environ):
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    (finding,) = exporters_asked_for(environ).findings
    assert check(tracer_provider=None) == [as_warning(finding, "W003", at_start_up("W003"))]


@pytest.mark.parametrize("name", ["otlp", "otlp_proto_http", "console"])
def test_made_provider_would_have_an_exporter(check, monkeypatch, name):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", name)
    assert check(tracer_provider=None) == []


@pytest.mark.parametrize(
    "variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
)
def test_made_provider_would_have_an_endpoint(check, variable, monkeypatch):
    monkeypatch.setenv(variable, "http://localhost:4318")
    assert check(tracer_provider=None) == []


class OtherProvider:
    """A provider unlike the SDK's: its exporters are unknown."""

    def add_span_processor(self, processor): ...


def test_provider_with_unknown_exporters(check):
    assert check(tracer_provider=OtherProvider()) == []


@pytest.mark.parametrize(
    "pyroscope", [{"APPLICATION_NAME": "store"}, {"TAGS": {"service_name": "store"}}]
)
def test_names_differ(check, pyroscope):
    (finding,) = judge_names("store", {}, {"service.name": "shop"})
    assert check(pyroscope=pyroscope) == [as_warning(finding, "W004", at_start_up("W004"))]


def test_namespaces_differ(check, exporter):
    resource = Resource({"service.name": "shop", "service.namespace": "eu"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    ((found, message, _),) = check(
        tracer_provider=provider, pyroscope={"TAGS": {"service_namespace": "us"}}
    )
    assert found == "pyroscope_otel_django.W004"
    assert message.startswith("Profiles have service_namespace 'us'")


def test_made_provider_would_have_another_name(check, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "store")
    assert [one for one, _, _ in check(tracer_provider=None)] == ["pyroscope_otel_django.W004"]


def test_provider_without_a_service_name(check, exporter):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    assert [one for one, _, _ in check(tracer_provider=provider)] == ["pyroscope_otel_django.W004"]


# Without spans


def test_disabled_sdk_hides_other_findings_of_tracing(check, monkeypatch):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    ((found, message, hint),) = check(tracer_provider=None)
    assert found == "pyroscope_otel_django.W006"
    assert message.startswith("OTEL_SDK_DISABLED is true: there are no spans")
    assert hint == "Unset OTEL_SDK_DISABLED."


# Invisible in Grafana


@pytest.mark.parametrize("pyroscope", [{"TAGS": {"pod-name": "a"}}, {"UPLOAD_INTERVAL": 31}])
def test_settings_that_hide_profiles_in_grafana(check, pyroscope):
    given = {name.lower(): value for name, value in pyroscope.items()}
    (finding,) = judge_visibility(read_settings(given, environ={}))
    assert check(pyroscope=pyroscope) == [as_warning(finding, "W007")]


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
                "server_address is 'http://profiles.example:4040'."
            ),
            "Use an address that begins with https://.",
        )
    ]


def test_credentials_in_the_address(check):
    address = "http://me:sesame@profiles.example"
    ((_, message, _),) = check(deploy=True, pyroscope={"SERVER_ADDRESS": address})
    assert message.endswith("server_address is 'http://***@profiles.example'.")


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
def test_credentials_that_stay_private(check, address):
    assert check(deploy=True, pyroscope={"SERVER_ADDRESS": address, **LOGIN}) == []


def test_plain_text_without_credentials(check):
    assert check(deploy=True, pyroscope={"SERVER_ADDRESS": "http://profiles.example"}) == []


def test_switched_off_has_no_findings(check):
    pyroscope = {"ENABLED": False, "SERVER_ADDRESS": "http://profiles.example", **LOGIN}
    assert check(deploy=True, tracer_provider=None, MIDDLEWARE=[], pyroscope=pyroscope) == []
