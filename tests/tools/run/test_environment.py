"""What the command's environment is: ours, unless the user has set it."""

from __future__ import annotations

from pathlib import Path

import pytest

import pyroscope_otel
from pyroscope_otel.tools.run.environment import decisive_variables, environment

STARTUP = str(Path(pyroscope_otel.__file__).parent / "tools" / "run" / "startup")
ADDRESS = "http://127.0.0.1:4040"
OURS = {
    "PYROSCOPE_SERVER_ADDRESS": ADDRESS,
    "PYROSCOPE_UPLOAD_INTERVAL": "1s",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{ADDRESS}/v1/traces",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
    "OTEL_SERVICE_NAME": "shop",
}


def made(users, **options):
    return environment(users, url=ADDRESS, name="shop", notes="/notes", **options)


def test_it_sends_everything_to_the_local_server():
    assert OURS.items() <= made({}).items()
    assert made({"HOME": "/home"})["HOME"] == "/home"


@pytest.mark.parametrize(
    "variable",
    [
        *("PYROSCOPE_SERVER_ADDRESS", "PYROSCOPE_UPLOAD_INTERVAL", "OTEL_SERVICE_NAME"),
        *("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_METRICS_EXPORTER"),
    ],
)
def test_what_the_user_has_set_stays(variable):
    assert made({variable: "theirs"})[variable] == "theirs"
    # An empty one counts as not set.
    assert made({variable: ""})[variable] == made({})[variable]


def test_an_endpoint_of_the_users_keeps_its_protocol():
    users = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://theirs:4317"}
    assert not {name for name in made(users) if name.startswith("OTEL_EXPORTER_OTLP_TRACES")}


def test_a_protocol_of_the_users_is_not_that_of_our_endpoint():
    users = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert made(users)["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] == "http/protobuf"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PYROSCOPE_APPLICATION_NAME", "books"),
        ("OTEL_RESOURCE_ATTRIBUTES", "region=eu, service.name=books"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=b%6Foks,region=eu"),
    ],
)
def test_a_name_of_the_users_is_that_of_traces_and_profiles(variable, value):
    assert made({variable: value})["OTEL_SERVICE_NAME"] == "books"


def test_another_services_name_among_the_attributes_is_not_the_services():
    users = {"OTEL_RESOURCE_ATTRIBUTES": "peer.service.name=books"}
    assert made(users)["OTEL_SERVICE_NAME"] == "shop"


def test_pythonpath_begins_with_ours_and_goes_on_with_the_users():
    assert made({"PYTHONPATH": "/a:/b"})["PYTHONPATH"] == f"{STARTUP}:/a:/b"
    # An empty entry would be the working directory.
    assert made({"PYTHONPATH": ""})["PYTHONPATH"] == STARTUP


def test_what_the_command_line_says_comes_first():
    users = {"PYROSCOPE_MEM_ENABLED": "false", "PYROSCOPE_CPU_IMPLEMENTATION": "pyspy"}
    asked = made(users, sampler="stack", memory=True)
    assert asked["PYROSCOPE_MEM_ENABLED"] == "true"
    assert asked["PYROSCOPE_CPU_IMPLEMENTATION"] == "stack"
    assert made(users).items() >= users.items()


def test_a_proxy_is_gone_around():
    assert (
        made({"http_proxy": "http://proxy", "NO_PROXY": "intranet"}).items()
        >= {
            "NO_PROXY": "intranet,127.0.0.1",
            "no_proxy": "127.0.0.1",
        }.items()
    )
    assert "no_proxy" not in made({})


def test_what_may_keep_requests_from_the_page_is_named():
    users = {"OTEL_SDK_DISABLED": "true", "PYROSCOPE_ENABLED": "", "PYROSCOPE_LABELS": "a=b"}
    assert decisive_variables(users) == ["OTEL_SDK_DISABLED"]
