"""Settings: where they come from, and the whole message of each refusal."""

import dataclasses
import inspect

import pyroscope
import pytest

from pyroscope_otel.setup import settings as settings_module
from pyroscope_otel.setup.setting_table import TABLE, settings_table_markdown
from pyroscope_otel.setup.settings import Settings, SettingsError, read_settings

NAMES = [row.name for row in TABLE]


def read(arguments=None, *, environ=None, **others):
    return read_settings(arguments or {}, environ=environ or {}, **others)


def refusal(arguments=None, **others):
    with pytest.raises(SettingsError) as caught:
        read(arguments, **others)
    return str(caught.value)


@pytest.fixture(autouse=True)
def no_warning_was_given_yet(monkeypatch):
    monkeypatch.setattr(settings_module, "_warned_variables", set())


# The table


def test_the_table_has_what_pyroscope_configure_has_and_what_is_ours():
    theirs = set(inspect.signature(pyroscope.configure).parameters)
    assert {row.name for row in TABLE if not row.ours} == theirs - {"app_name", "native"}
    assert {row.name for row in TABLE if row.ours} == {
        "attribution",
        "auth_token",
        "enabled",
        "max_span_names",
        "span_labels",
        "start",
        "tracer_provider",
        "upload_buffer",
    }


def test_defaults_are_those_of_pyroscope_configure():
    """But for the name, which it has none for, and the sampler, which is chosen."""
    parameters = inspect.signature(pyroscope.configure).parameters
    for row in TABLE:
        if not row.ours and row.name not in ("application_name", "cpu_implementation"):
            assert row.default == (parameters[row.name].default or type(row.default)()), row.name


def test_settings_has_one_attribute_for_each_row_in_the_same_order():
    fields = [field.name for field in dataclasses.fields(Settings)]
    assert fields == [*NAMES, "sources", "given"]


def test_environment_names_belong_to_one_setting_each():
    variables = [name for row in TABLE for name in row.environment]
    assert len(variables) == len(set(variables))
    assert all(name.startswith("PYROSCOPE_") for name in variables)


def test_every_default_but_the_absent_provider_is_an_allowed_value():
    for row in TABLE:
        if row.name != "tracer_provider":
            assert row.kind.check(row.default) == row.default


def test_markdown_has_a_row_for_each_setting():
    lines = settings_table_markdown().splitlines()
    assert len(lines) == 2 + len(TABLE)
    assert (
        "| `upload_interval` | `PYROSCOPE_UPLOAD_INTERVAL` | `10` | Seconds between two uploads. "
        "The environment variable includes the unit: `10s`. |"
    ) in lines


# Where a value comes from

FRAMEWORK = "Django setting PYROSCOPE['{}']"
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


# What goes to the agent


def test_agent_gets_only_what_is_not_its_own_default():
    settings = read({"application_name": "shop", "start": "now", "sample_rate": 100})
    assert settings.agent_arguments() == {"application_name": "shop"}


def test_agent_gets_the_token_as_a_bearer_header():
    settings = read({"auth_token": "abc", "http_headers": {"X-A": "1"}})
    assert settings.agent_arguments() == {
        "application_name": "unknown_service",
        "http_headers": {"X-A": "1", "Authorization": "Bearer abc"},
    }


# Refusals


def test_unknown_argument():
    assert refusal({"sample_rat": 5}) == (
        "argument sample_rat is not a setting; did you mean argument sample_rate?"
    )


def test_unknown_argument_with_nothing_near():
    assert refusal({"zzz": 5}) == (
        f"argument zzz is not a setting; the settings are {', '.join(NAMES)}"
    )


def test_unknown_argument_that_is_none():
    assert refusal({"sample_rat": None}) == (
        "argument sample_rat is not a setting; did you mean argument sample_rate?"
    )


def test_unknown_django_setting():
    assert refusal(framework={"server_adress": "http://p"}, framework_name=FRAMEWORK) == (
        "Django setting PYROSCOPE['SERVER_ADRESS'] is not a setting; "
        "did you mean Django setting PYROSCOPE['SERVER_ADDRESS']?"
    )


def test_a_setting_named_as_in_the_environment():
    message = refusal(framework={"labels": {}}, framework_name="Flask setting PYROSCOPE_{}")
    assert message == (
        "Flask setting PYROSCOPE_LABELS is not a setting; "
        "did you mean Flask setting PYROSCOPE_TAGS?"
    )


def test_unknown_flask_setting():
    message = refusal(
        framework={"auth_tokn": "hunter2"}, framework_name="Flask setting PYROSCOPE_{}"
    )
    assert message == (
        "Flask setting PYROSCOPE_AUTH_TOKN is not a setting; "
        "did you mean Flask setting PYROSCOPE_AUTH_TOKEN?"
    )


RATE = "sample_rate must be a whole number of samples per second, 1 to 1000000; "
SECONDS = "upload_interval must be a whole number of seconds, 1 or more; "
HEADERS = (
    "http_headers must be a mapping of HTTP header names to texts without control characters; "
    "argument http_headers is "
)
SPAN_LABELS = (
    "span_labels must be a list or tuple of one or more of span_id, span_name, trace_id; "
    "argument span_labels is "
)
ADDRESS = "server_address must be a URL that begins with http:// or https:// and names a host; "
INTERVAL = (
    "sample_rate must be the time between two samples, at most 1s, with its unit us, ms or s, "
    "as in 10ms; environment variable PYROSCOPE_PROFILING_INTERVAL is "
)
DURATION = (
    "upload_interval must be a whole number of seconds, 1 or more, with the unit, as in 10s; "
    "environment variable PYROSCOPE_UPLOAD_INTERVAL is "
)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sample_rate", 0, RATE + "argument sample_rate is 0"),
        ("sample_rate", -1, RATE + "argument sample_rate is -1"),
        ("sample_rate", 1_000_001, RATE + "argument sample_rate is 1000001"),
        ("sample_rate", "100", RATE + "argument sample_rate is '100'"),
        ("sample_rate", 99.5, RATE + "argument sample_rate is 99.5"),
        ("sample_rate", True, RATE + "argument sample_rate is True"),
        ("upload_interval", 0, SECONDS + "argument upload_interval is 0"),
        ("upload_interval", 0.5, SECONDS + "argument upload_interval is 0.5"),
        ("upload_interval", True, SECONDS + "argument upload_interval is True"),
        (
            "server_address",
            "localhost:4040",
            ADDRESS + "argument server_address is 'localhost:4040'",
        ),
        ("server_address", "ftp://p", ADDRESS + "argument server_address is 'ftp://p'"),
        ("server_address", "http://", ADDRESS + "argument server_address is 'http://'"),
        ("server_address", "http://:4040", ADDRESS + "argument server_address is 'http://:4040'"),
        (
            "server_address",
            "http://p:99999",
            ADDRESS + "argument server_address is 'http://p:99999'",
        ),
        ("server_address", "http://a b", ADDRESS + "argument server_address is 'http://a b'"),
        ("server_address", "http://[::1", ADDRESS + "argument server_address is 'http://[::1'"),
        ("server_address", 4040, ADDRESS + "argument server_address is 4040"),
        (
            "server_address",
            b"http://user:hunter2@p",
            ADDRESS + "argument server_address is a builtins.bytes",
        ),
        (
            "application_name",
            "",
            "application_name must be text that is not empty; argument application_name is ''",
        ),
        (
            "application_name",
            7,
            "application_name must be text that is not empty; argument application_name is 7",
        ),
        ("oncpu", 1, "oncpu must be True or False; argument oncpu is 1"),
        ("enabled", "yes", "enabled must be True or False; argument enabled is 'yes'"),
        (
            "tenant_id",
            "a\nb",
            r"tenant_id must be text without control characters; argument tenant_id is 'a\nb'",
        ),
        ("tags", ["a"], "tags must be a mapping of names to texts; argument tags is ['a']"),
        ("tags", {"a": 1}, "tags must be a mapping of names to texts; argument tags is {'a': 1}"),
        (
            "http_headers",
            {"bad name": "hunter2"},
            (HEADERS + "{'bad name': '***'}"),
        ),
        (
            "http_headers",
            {"X-A": "hunter2\r\nX-B: 1"},
            (HEADERS + "{'X-A': '***'}"),
        ),
        (
            "http_headers",
            "X-A: hunter2",
            (HEADERS + "a secret of type str, which is not shown"),
        ),
        (
            "auth_token",
            4711,
            (
                "auth_token must be text without control characters; "
                "argument auth_token is a secret of type int, which is not shown"
            ),
        ),
        (
            "basic_auth_password",
            b"hunter2",
            (
                "basic_auth_password must be text without control characters; "
                "argument basic_auth_password is a secret of type bytes, which is not shown"
            ),
        ),
        (
            "span_labels",
            "span_id",
            (SPAN_LABELS + "'span_id'"),
        ),
        (
            "span_labels",
            ["span"],
            (SPAN_LABELS + "['span']"),
        ),
        (
            "span_labels",
            [],
            (SPAN_LABELS + "[]"),
        ),
        ("start", "soon", "start must be 'lazy' or 'now'; argument start is 'soon'"),
        (
            "mem_max_nframe",
            0,
            (
                "mem_max_nframe must be a whole number of frames, 1 to 65535; "
                "argument mem_max_nframe is 0"
            ),
        ),
        (
            "mem_heap_sample_size",
            0,
            (
                "mem_heap_sample_size must be a whole number of bytes, 1 or more; "
                "argument mem_heap_sample_size is 0"
            ),
        ),
        (
            "cpu_implementation",
            "perf",
            (
                "cpu_implementation must be 'auto', 'pyspy', 'stack' or a member of "
                "pyroscope.ProfilerImplementation; argument cpu_implementation is 'perf'"
            ),
        ),
        (
            "attribution",
            "label",
            "attribution must be 'stack' or 'thread'; argument attribution is 'label'",
        ),
        (
            "max_span_names",
            0,
            (
                "max_span_names must be a whole number of names, 1 or more; "
                "argument max_span_names is 0"
            ),
        ),
        (
            "upload_buffer",
            1000,
            (
                "upload_buffer must be a whole number of bytes, 65536 or more; "
                "argument upload_buffer is 1000"
            ),
        ),
        (
            "line_no",
            "First",
            "line_no must be a member of pyroscope.LineNo; argument line_no is 'First'",
        ),
        (
            "tracer_provider",
            "otlp",
            (
                "tracer_provider must be a tracer provider with add_span_processor, such as "
                "opentelemetry.sdk.trace.TracerProvider; argument tracer_provider is a builtins.str"
            ),
        ),
    ],
)
def test_refused_argument(name, value, message):
    assert refusal({name: value}) == message


def test_refused_django_setting():
    assert refusal(framework={"sample_rate": "fast"}, framework_name=FRAMEWORK) == (
        RATE + "Django setting PYROSCOPE['SAMPLE_RATE'] is 'fast'"
    )


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        # A bare integer is nanoseconds in the Java agent: it must not mean another thing here.
        ("PYROSCOPE_PROFILING_INTERVAL", "10", INTERVAL + "'10'"),
        ("PYROSCOPE_PROFILING_INTERVAL", "2s", INTERVAL + "'2s'"),
        ("PYROSCOPE_PROFILING_INTERVAL", "0ms", INTERVAL + "'0ms'"),
        ("PYROSCOPE_PROFILING_INTERVAL", "fast", INTERVAL + "'fast'"),
        ("PYROSCOPE_UPLOAD_INTERVAL", "10", DURATION + "'10'"),
        ("PYROSCOPE_UPLOAD_INTERVAL", "1500ms", DURATION + "'1500ms'"),
        ("PYROSCOPE_UPLOAD_INTERVAL", "0s", DURATION + "'0s'"),
        (
            "PYROSCOPE_LABELS",
            "region:eu",
            (
                "tags must be name=value pairs with commas between them; "
                "environment variable PYROSCOPE_LABELS is 'region:eu'"
            ),
        ),
        (
            "PYROSCOPE_HTTP_HEADERS",
            "X-A=hunter2",
            (
                "http_headers must be a JSON object of HTTP header names and texts without control "
                "characters; environment variable PYROSCOPE_HTTP_HEADERS is a secret of type str, "
                "which is not shown"
            ),
        ),
        (
            "PYROSCOPE_HTTP_HEADERS",
            '["hunter2"]',
            (
                "http_headers must be a JSON object of HTTP header names and texts without control "
                "characters; environment variable PYROSCOPE_HTTP_HEADERS is a secret of type str, "
                "which is not shown"
            ),
        ),
        (
            "PYROSCOPE_ENABLED",
            "maybe",
            "enabled must be true or false; environment variable PYROSCOPE_ENABLED is 'maybe'",
        ),
        (
            "PYROSCOPE_MEM_MAX_NFRAME",
            "many",
            (
                "mem_max_nframe must be a whole number of frames, 1 to 65535; "
                "environment variable PYROSCOPE_MEM_MAX_NFRAME is 'many'"
            ),
        ),
        (
            "PYROSCOPE_SPAN_LABELS",
            "span",
            (
                "span_labels must be one or more of span_id, span_name, trace_id, with commas "
                "between them; environment variable PYROSCOPE_SPAN_LABELS is 'span'"
            ),
        ),
        (
            "PYROSCOPE_CPU_IMPLEMENTATION",
            "fast",
            (
                "cpu_implementation must be one of auto, pyspy, stack; "
                "environment variable PYROSCOPE_CPU_IMPLEMENTATION is 'fast'"
            ),
        ),
        (
            "PYROSCOPE_START",
            "Now",
            "start must be 'lazy' or 'now'; environment variable PYROSCOPE_START is 'Now'",
        ),
        (
            "PYROSCOPE_SERVER_ADDRESS",
            "pyroscope:4040",
            ADDRESS + "environment variable PYROSCOPE_SERVER_ADDRESS is 'pyroscope:4040'",
        ),
    ],
)
def test_refused_environment_variable(variable, text, message):
    assert refusal(environ={variable: text}) == message


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Stack", "stack"),
        ("pyspy", "pyspy"),
    ],
)
def test_the_sampler_by_its_name(given, kept):
    assert read({"cpu_implementation": given}).cpu_implementation == kept


@pytest.mark.skipif(
    not hasattr(pyroscope, "ProfilerImplementation"), reason="this agent has one sampler"
)
@pytest.mark.parametrize(("name", "kept"), [("Stack", "stack"), ("PySpy", "pyspy")])
def test_the_sampler_by_the_agents_constant(name, kept):
    given = getattr(pyroscope.ProfilerImplementation, name)
    assert read({"cpu_implementation": given}).cpu_implementation == kept


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"attribution": "thread"}, "it does not read thread labels"),
        ({"oncpu": False}, "it samples by CPU time"),
    ],
)
def test_stack_is_refused_with_settings_it_cannot_honour(other, reason):
    """Scenario 48: it would label nothing, or not start, and say nothing of it."""
    ((name, value),) = other.items()
    message = refusal(other, environ={"PYROSCOPE_CPU_IMPLEMENTATION": "stack"})
    assert message == (
        "cpu_implementation 'stack' (environment variable PYROSCOPE_CPU_IMPLEMENTATION) cannot be "
        f"used with {name} {value!r} (argument {name}): {reason}"
    )
    for sampler in ("auto", "pyspy"):
        assert read_settings(other, environ={"PYROSCOPE_CPU_IMPLEMENTATION": sampler})


def test_token_and_user_at_once():
    message = refusal(
        {"basic_auth_username": "ann", "basic_auth_password": "hunter2"},
        environ={"PYROSCOPE_AUTH_TOKEN": "hunter3"},
    )
    assert message == (
        "only one way of authentication is allowed; given basic_auth_username "
        "(argument basic_auth_username) and auth_token (environment variable PYROSCOPE_AUTH_TOKEN)"
    )


def test_token_and_authorization_header_at_once():
    message = refusal({"auth_token": "hunter2", "http_headers": {"authorization": "Basic x"}})
    assert message == (
        "only one way of authentication is allowed; given auth_token (argument auth_token) and "
        "the header Authorization in http_headers (argument http_headers)"
    )


def test_user_and_authorization_header_at_once():
    message = refusal(
        {
            "basic_auth_username": "ann",
            "basic_auth_password": "hunter2",
            "http_headers": {"Authorization": "Basic x"},
        }
    )
    assert message == (
        "only one way of authentication is allowed; given basic_auth_username "
        "(argument basic_auth_username) and the header Authorization in http_headers "
        "(argument http_headers)"
    )


def test_token_and_user_in_the_address_at_once():
    message = refusal({"auth_token": "hunter2", "server_address": "http://ann:hunter3@p"})
    assert message == (
        "only one way of authentication is allowed; given auth_token (argument auth_token) and "
        "the user in server_address (argument server_address)"
    )


def test_tenant_and_its_header_at_once():
    message = refusal({"tenant_id": "a", "http_headers": {"x-scope-orgid": "b"}})
    assert message == (
        "tenant_id (argument tenant_id) and the header X-Scope-OrgID in http_headers "
        "(argument http_headers) are the same thing; only one is allowed"
    )


def test_user_without_password():
    assert refusal({"basic_auth_username": "ann"}) == (
        "basic_auth_username (argument basic_auth_username) needs basic_auth_password "
        "(environment variable PYROSCOPE_BASIC_AUTH_PASSWORD) as well"
    )


def test_password_without_user():
    assert refusal(environ={"PYROSCOPE_BASIC_AUTH_PASSWORD": "hunter2"}) == (
        "basic_auth_password (environment variable PYROSCOPE_BASIC_AUTH_PASSWORD) needs "
        "basic_auth_username (environment variable PYROSCOPE_BASIC_AUTH_USER) as well"
    )


def test_nothing_to_profile():
    assert refusal({"cpu_enabled": False}) == (
        "cpu_enabled (argument cpu_enabled) and mem_enabled (default) are both False; "
        "at least one must be True, or enabled must be False"
    )


def test_setting_that_the_installed_agent_lacks(monkeypatch):
    # Like a release that lacks much of what later ones have.
    def configure(application_name=None, server_address="http://localhost:4040"):
        pass

    monkeypatch.setattr(pyroscope, "configure", configure)
    assert read({"application_name": "shop"}).agent_arguments() == {"application_name": "shop"}
    assert refusal({"upload_interval": 5}) == (
        "upload_interval (argument upload_interval) needs a newer release of pyroscope-io"
    )


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
def test_error_masks_secrets_in_an_address_that_is_none(address, shown):
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
def test_near_miss_in_the_environment_is_one_warning(caplog, variable, meant):
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
def test_other_environment_variables_pass_in_silence(caplog, variable):
    assert read(environ={variable: "tcp://10.0.0.1:4040"}) == read()
    assert not caplog.records
