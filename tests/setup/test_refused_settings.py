"""Settings that are refused, each with its whole message."""

from __future__ import annotations

import pytest

from pyroscope_otel.setup.setting_table import TABLE
from tests.setup.reading import ADDRESS, FRAMEWORK, refusal

NAMES = [row.name for row in TABLE]


def test_unknown_argument():
    assert refusal({"sample_rat": 5}) == (
        "argument sample_rat is not a setting; did you mean argument sample_rate?"
    )


def test_unknown_argument_without_a_suggestion():
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


def test_setting_named_as_in_the_environment():
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
