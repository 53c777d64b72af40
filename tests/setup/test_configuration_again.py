"""`configure` called more than once, or after a set-up without code."""

from __future__ import annotations

from tests.setup.configured_process import BEGIN
from tests.support.child import run


def test_second_call_with_the_same_settings_is_silent():
    assert run(
        BEGIN
        + """
configure(application_name="shop", tags={"a": "1"}, tracer_provider=None)
configure(application_name="shop", tags={"a": "1"})
configure(tracer_provider=trace.get_tracer_provider())
print(processors())
""",
        env={"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop,service.namespace=web"},
    ) == ["['PyroscopeSpanProcessor']"]


def test_second_call_reads_the_resource_of_the_provider_in_use():
    assert run(
        BEGIN
        + """
given = TracerProvider(resource=Resource({"service.name": "a", "service.namespace": "web"}))
configure(tracer_provider=given, tags={"a": "1"})
print(dict(apply({"tags": {"a": "1"}}).tags))
"""
    ) == ["{'service_namespace': 'web', 'a': '1'}"]


def test_second_call_keeps_settings_that_it_leaves_out():
    assert run(
        BEGIN
        + """
configure(application_name="shop", sample_rate=50)
configure()
print(apply({"sample_rate": 50}).application_name)
"""
    ) == ["shop"]


def test_second_call_with_other_values_names_what_differs():
    assert run(
        BEGIN
        + """
configure(application_name="shop", auth_token="hunter2")
refused(sample_rate=50, auth_token="hunter3", application_name="shop")
print(agent.AGENT._settings.sample_rate)
"""
    ) == [
        (
            "pyroscope_otel is already configured, with other settings: "
            "auth_token: '***' (argument auth_token) → '***' (argument auth_token); "
            "sample_rate: 100 (default) → 50 (argument sample_rate). "
            "Call pyroscope_otel.shutdown() first"
        ),
        "100",
    ]


def test_second_call_with_another_tracer_provider_is_refused():
    lines = run(
        BEGIN
        + """
configure(application_name="shop")
refused(tracer_provider=TracerProvider())
"""
    )
    assert lines == [
        (
            "pyroscope_otel is already configured, with other settings: tracer_provider: "
            "None (default) → a opentelemetry.sdk.trace.TracerProvider (argument tracer_provider). "
            "Call pyroscope_otel.shutdown() first"
        )
    ]


def test_second_call_with_enabled_false_is_refused():
    assert run(
        BEGIN
        + """
configure(application_name="shop")
refused(enabled=False)
"""
    ) == [
        (
            "pyroscope_otel is already configured, with other settings: "
            "enabled: True (default) → False (argument enabled). "
            "Call pyroscope_otel.shutdown() first"
        )
    ]


# A set-up without code is replaced


def test_replaced_set_up_keeps_settings_that_the_later_call_leaves_out():
    assert run(
        BEGIN
        + """
use(service_name="shop")
apply({"server_address": "http://127.0.0.1:9", "tags": {"region": "eu"}}, replaceable=True)
later = apply({"sample_rate": 50, "tags": {"region": "us"}})
print(later.server_address, later.tags, later.sample_rate)
refused(sample_rate=60)
"""
    ) == [
        "http://127.0.0.1:9 {'region': 'us'} 50",
        (
            "pyroscope_otel is already configured, with other settings: sample_rate: 50 (argument "
            "sample_rate) → 60 (argument sample_rate). Call pyroscope_otel.shutdown() first"
        ),
    ]


def test_replaced_set_up_is_read_again_for_another_provider():
    assert run(
        BEGIN
        + """
use(service_name="old")
apply({"server_address": "http://127.0.0.1:9"}, replaceable=True)
provider = TracerProvider(resource=Resource.create({"service.name": "new"}))
print(apply({"tracer_provider": provider}).application_name)
"""
    ) == ["new"]
