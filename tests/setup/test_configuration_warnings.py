"""Warnings of `configure`: one line each, with the remedy. Each case in its own process."""

from __future__ import annotations

import pytest

from tests.support.child import run

BEGIN = """
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from pyroscope_otel.setup.configuration import configure

def use(**resource):
    attributes = {name.replace("_", "."): value for name, value in resource.items()}
    trace.set_tracer_provider(TracerProvider(resource=Resource.create(attributes)))
"""


# The names in Grafana's link


def test_matching_names_cause_no_warning():
    assert (
        run(
            BEGIN
            + """
use(service_name="shop", service_namespace="web")
configure(application_name="shop")
"""
        )
        == []
    )


def test_names_that_differ_cause_one_warning():
    assert run(
        BEGIN
        + """
use(service_name="shop-web")
configure(application_name="shop")
configure(application_name="shop")
"""
    ) == [
        (
            "WARNING Profiles have service_name 'shop', traces have service.name 'shop-web': "
            "Grafana's link from a trace finds no profile. "
            "Leave application_name (PYROSCOPE_APPLICATION_NAME) out, so that it is taken from "
            "service.name, or give both the same value. service.name is in the resource that "
            "the application's code makes; if that has none, it is OTEL_SERVICE_NAME."
        )
    ]


def test_tag_that_overrides_the_name_counts():
    assert (
        run(
            BEGIN
            + """
use(service_name="shop-web")
configure(application_name="shop", tags={"service_name": "shop-web"})
"""
        )
        == []
    )


def test_namespaces_that_differ_cause_a_warning():
    assert run(
        BEGIN
        + """
use(service_name="shop", service_namespace="web")
configure(application_name="shop", tags={"service_namespace": "net"})
"""
    ) == [
        (
            "WARNING Profiles have service_namespace 'net', traces have service.namespace 'web': "
            "Grafana's link from a trace finds no profile. Leave the tag service_namespace out: "
            "it is added. Only where the application calls pyroscope.configure itself, give it "
            "the tag there."
        )
    ]


def test_service_without_a_name_causes_a_warning():
    (line,) = run(BEGIN + "configure()")
    assert line.startswith("WARNING The service has no name: traces and profiles go under 'unknown")
    assert line.endswith("Set OTEL_SERVICE_NAME, or application_name (PYROSCOPE_APPLICATION_NAME).")


# Profiles that Grafana does not show


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ("tags={'pod-name': 'a'}", "Call them 'pod_name' instead of 'pod-name'."),
        (
            "upload_interval=31",
            "Set upload_interval (PYROSCOPE_UPLOAD_INTERVAL) to 30 s or less.",
        ),
        (
            "upload_interval=61",
            "Set upload_interval (PYROSCOPE_UPLOAD_INTERVAL) to 30 s or less.",
        ),
    ],
)
def test_profiles_that_grafana_does_not_show_cause_one_warning(settings, remedy):
    (line,) = run(
        BEGIN
        + f"""
configure(application_name="shop", {settings})
configure(application_name="shop", {settings})
"""
    )
    assert line.startswith("WARNING ")
    assert line.endswith(remedy)


def test_profiles_that_grafana_shows_cause_no_warning():
    assert (
        run(
            BEGIN + "configure(application_name='shop', tags={'pod_name': 'a'}, upload_interval=30)"
        )
        == []
    )


# Nothing makes spans


NO_SPANS = {
    "the SDK is switched off": ("", {"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED is true: "),
    "the sampler in the environment": (
        "",
        {"OTEL_TRACES_SAMPLER": "always_off"},
        "The sampler AlwaysOffSampler drops every new trace: ",
    ),
    "the sampler of the application's provider": (
        "trace.set_tracer_provider(TracerProvider(sampler=ALWAYS_OFF))",
        {},
        "The sampler AlwaysOffSampler drops every new trace: ",
    ),
    "a provider without spans": (
        "trace.set_tracer_provider(trace.NoOpTracerProvider())",
        {},
        "The tracer provider is OpenTelemetry's NoOpTracerProvider: there are no spans",
    ),
}


@pytest.mark.parametrize(("code", "env", "said"), NO_SPANS.values(), ids=NO_SPANS)
def test_provider_without_spans_causes_one_warning(code, env, said):
    (line,) = run(BEGIN + code + "\nconfigure(application_name='shop')", env=env)
    assert line.startswith(f"WARNING {said}")


def test_parent_based_sampler_causes_no_warning():
    sampler = {"OTEL_TRACES_SAMPLER": "parentbased_always_off"}
    assert run(BEGIN + "configure(application_name='shop')", env=sampler) == []
