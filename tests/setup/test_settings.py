"""Where settings come from, which the agent gets, and how secrets are masked."""

from __future__ import annotations

import pyroscope
import pytest

from pyroscope_otel.setup import settings as settings_module
from pyroscope_otel.setup.settings import SettingsError, read_settings
from tests.setup.reading import ADDRESS, FRAMEWORK, read, refusal


@pytest.fixture(autouse=True)
def no_warning_was_given_yet(monkeypatch):
    monkeypatch.setattr(settings_module, "_warned_variables", set())


ALL_SOURCES = {
    "arguments": {"application_name": "from-argument"},
    "framework": {"application_name": "from-framework"},
    "environ": {"PYROSCOPE_APPLICATION_NAME": "from-environment"},
    "resource": {"service.name": "from-resource"},
}


@pytest.mark.parametrize(
    ("absent", "value", "source"),
    [
        ([], "from-argument", "argument application_name"),
        (["arguments"], "from-framework", "Django setting PYROSCOPE['APPLICATION_NAME']"),
        (
            ["arguments", "framework"],
            "from-environment",
            "environment variable PYROSCOPE_APPLICATION_NAME",
        ),
        (
            ["arguments", "framework", "environ"],
            "from-resource",
            "OpenTelemetry resource attribute service.name",
        ),
        (list(ALL_SOURCES), "unknown_service", "default"),
    ],
)
def test_order_of_sources(absent, value, source):
    sources = {key: {} if key in absent else found for key, found in ALL_SOURCES.items()}
    settings = read(**sources, framework_name=FRAMEWORK)
    assert settings.application_name == value
    assert settings.sources["application_name"] == source


def test_none_counts_as_not_given():
    settings = read(
        {"application_name": None},
        framework={"application_name": None},
        environ={"PYROSCOPE_APPLICATION_NAME": "shop"},
    )
    assert settings.application_name == "shop"
    assert settings.given == frozenset()


def test_empty_environment_variable_counts_as_not_set():
    assert read(environ={"PYROSCOPE_UPLOAD_INTERVAL": " "}).upload_interval == 10


def test_given_names_what_arguments_and_framework_gave():
    settings = read(
        {"application_name": "shop"},
        framework={"sample_rate": 50},
        environ={"PYROSCOPE_UPLOAD_INTERVAL": "5s"},
    )
    assert settings.given == {"application_name", "sample_rate"}


def test_process_environment_is_read_by_default(monkeypatch):
    monkeypatch.setenv("PYROSCOPE_APPLICATION_NAME", "shop")
    assert read_settings({}).application_name == "shop"


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("PYROSCOPE_SERVER_ADDRESS", "https://p.example:4040", "server_address", ...),
        ("PYROSCOPE_TENANT_ID", "team-a", "tenant_id", ...),
        ("PYROSCOPE_AUTH_TOKEN", "abc", "auth_token", ...),
        ("PYROSCOPE_HTTP_HEADERS", '{"X-A": "1"}', "http_headers", {"X-A": "1"}),
        ("PYROSCOPE_LABELS", "a=1, b = x=y ,", "tags", {"a": "1", "b": "x=y"}),
        ("PYROSCOPE_PROFILING_INTERVAL", "10ms", "sample_rate", 100),
        ("PYROSCOPE_PROFILING_INTERVAL", "2500us", "sample_rate", 400),
        ("PYROSCOPE_PROFILING_INTERVAL", "1s", "sample_rate", 1),
        ("PYROSCOPE_UPLOAD_INTERVAL", "15s", "upload_interval", 15),
        ("PYROSCOPE_UPLOAD_INTERVAL", "3000ms", "upload_interval", 3),
        ("PYROSCOPE_ENABLED", "no", "enabled", False),
        ("PYROSCOPE_PROFILING_ENABLED", "false", "enabled", False),
        ("PYROSCOPE_GIL_ONLY", "0", "gil_only", False),
        ("PYROSCOPE_MEM_ENABLED", "Yes", "mem_enabled", True),
        ("PYROSCOPE_MEM_MAX_NFRAME", "64", "mem_max_nframe", 64),
        ("PYROSCOPE_SPAN_LABELS", "span_id, trace_id", "span_labels", ("span_id", "trace_id")),
        ("PYROSCOPE_START", "now", "start", "now"),
    ],
)
def test_environment_variable(variable, text, name, value):
    settings = read(environ={variable: text})
    assert getattr(settings, name) == (text if value is ... else value)
    assert settings.sources[name] == f"environment variable {variable}"


def test_pyroscope_enabled_comes_before_the_other_agents_name():
    environ = {"PYROSCOPE_ENABLED": "true", "PYROSCOPE_PROFILING_ENABLED": "false"}
    assert read(environ=environ).enabled is True


def test_service_namespace_becomes_a_label():
    settings = read({"tags": {"a": "1"}}, resource={"service.namespace": "web"})
    assert settings.tags == {"service_namespace": "web", "a": "1"}


def test_service_namespace_of_the_tags_stays():
    settings = read({"tags": {"service_namespace": "own"}}, resource={"service.namespace": "other"})
    assert settings.tags == {"service_namespace": "own"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://p:4040/", "http://p:4040"),
        ("http://p:4040/prefix/", "http://p:4040/prefix"),
        ("https://[::1]:4040", "https://[::1]:4040"),
    ],
)
def test_server_address_loses_its_trailing_slash(given, kept):
    assert read({"server_address": given}).server_address == kept


# Arguments for the agent


def test_agent_gets_only_what_is_not_its_own_default():
    settings = read({"application_name": "shop", "start": "now", "sample_rate": 100})
    assert settings.agent_arguments() == {"application_name": "shop"}


def test_agent_gets_the_token_as_a_bearer_header():
    settings = read({"auth_token": "abc", "http_headers": {"X-A": "1"}})
    assert settings.agent_arguments() == {
        "application_name": "unknown_service",
        "http_headers": {"X-A": "1", "Authorization": "Bearer abc"},
    }


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Stack", "stack"),
        ("pyspy", "pyspy"),
    ],
)
def test_sampler_by_name(given, kept):
    assert read_settings({"cpu_implementation": given}, environ={}).cpu_implementation == kept


@pytest.mark.skipif(
    not hasattr(pyroscope, "ProfilerImplementation"), reason="this agent has one sampler"
)
@pytest.mark.parametrize(("name", "kept"), [("Stack", "stack"), ("PySpy", "pyspy")])
def test_sampler_by_the_agents_constant(name, kept):
    given = getattr(pyroscope.ProfilerImplementation, name)
    assert read_settings({"cpu_implementation": given}, environ={}).cpu_implementation == kept


# Secrets


SECRETS = {
    "basic_auth_username": "ann",
    "basic_auth_password": "hunter2",
    "http_headers": {"X-Key": "hunter3"},
}


def test_repr_masks_secrets_and_shows_the_rest():
    text = repr(read({**SECRETS, "application_name": "shop"}))
    assert "hunter" not in text
    assert "basic_auth_password='***'" in text
    assert "http_headers={'X-Key': '***'}" in text
    assert "application_name='shop'" in text
    assert "hunter" not in repr(read({"auth_token": "hunter2"}))


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://ann:hunter2@p:4040", "'http://***@p:4040'"),
        ("http://ann:hun/ter2@p:4040/x", "'http://***@p:4040/x'"),
        ("http://p:4040/x?key=hunter2", "'http://p:4040/x?***'"),
    ],
)
def test_repr_masks_secrets_in_the_address(address, shown):
    try:
        text = repr(read({"server_address": address}))
    except SettingsError as error:
        text = str(error)
    assert shown in text
    assert "ter2" not in text


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("ann:hunter2@p:4040", "'***@p:4040'"),
        ("htp://ann:hunter@2@p:4040", "'htp://***@p:4040'"),
        ("http://ann:hunter2\n@p", "'http://***@p'"),
    ],
)
def test_error_masks_secrets_in_an_invalid_address(address, shown):
    assert refusal({"server_address": address}) == (ADDRESS + f"argument server_address is {shown}")


# Environment variables that are not ours


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("PYROSCOPE_SERVER_ADRESS", "PYROSCOPE_SERVER_ADDRESS"),
        ("PYROSCOPE_SAMPLE_RATE", "PYROSCOPE_PROFILING_INTERVAL"),
        ("PYROSCOPE_BASIC_AUTH_USERNAME", "PYROSCOPE_BASIC_AUTH_USER"),
        ("PYROSCOPE_TAGS", "PYROSCOPE_LABELS"),
    ],
)
def test_near_miss_in_the_environment_causes_one_warning(caplog, variable, meant):
    for _ in range(2):
        read(environ={variable: "hunter2"})
    assert [record.getMessage() for record in caplog.records] == [
        f"Environment variable {variable} is not read; did you mean {meant}?"
    ]


@pytest.mark.parametrize(
    "variable",
    [
        "PYROSCOPE_PORT",
        "PYROSCOPE_PORT_4040_TCP",
        "PYROSCOPE_PORT_4040_TCP_ADDR",
        "PYROSCOPE_SERVICE_HOST",
        "PYROSCOPE_SERVICE_PORT",
        "PYROSCOPE_SERVICE_PORT_HTTP",
        "PYROSCOPE_SERVER_SERVICE_HOST",
        "PYROSCOPE_START_PORT",
        "PYROSCOPE_AGENT_ENABLED",
        "PYROSCOPE_SAMPLING_RATE",
        "PYROSCOPE_PROFILER_ALLOC",
        "PYROSCOPE_PROFILING_CPU_ENABLED",
        "PYROSCOPE_LOG_LEVEL",
        "PYROSCOPE_ANYTHING_ELSE",
        "XPYROSCOPE_SERVER_ADRESS",
    ],
)
def test_other_environment_variables_cause_no_warning(caplog, variable):
    assert read(environ={variable: "tcp://10.0.0.1:4040"}) == read()
    assert not caplog.records
