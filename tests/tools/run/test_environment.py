"""The command's environment: our variables, unless the user has set them."""

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


def test_everything_is_sent_to_the_local_server():
    assert OURS.items() <= made({}).items()
    assert made({"HOME": "/home"})["HOME"] == "/home"


@pytest.mark.parametrize(
    "variable",
    [
        *("PYROSCOPE_SERVER_ADDRESS", "PYROSCOPE_UPLOAD_INTERVAL", "OTEL_SERVICE_NAME"),
        *("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_METRICS_EXPORTER"),
    ],
)
def test_variables_of_the_user_are_kept(variable):
    assert made({variable: "theirs"})[variable] == "theirs"
    # An empty variable counts as unset.
    assert made({variable: ""})[variable] == made({})[variable]


def test_endpoint_of_the_user_keeps_its_protocol():
    users = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://theirs:4317"}
    assert not {name for name in made(users) if name.startswith("OTEL_EXPORTER_OTLP_TRACES")}


def test_protocol_of_the_user_does_not_apply_to_our_endpoint():
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
def test_service_name_of_the_user_applies_to_traces_and_profiles(variable, value):
    assert made({variable: value})["OTEL_SERVICE_NAME"] == "books"


def test_name_of_a_peer_service_is_ignored():
    users = {"OTEL_RESOURCE_ATTRIBUTES": "peer.service.name=books"}
    assert made(users)["OTEL_SERVICE_NAME"] == "shop"


def test_pythonpath_of_the_user_follows_ours():
    assert made({"PYTHONPATH": "/a:/b"})["PYTHONPATH"] == f"{STARTUP}:/a:/b"
    # An empty entry would be the working directory.
    assert made({"PYTHONPATH": ""})["PYTHONPATH"] == STARTUP


def test_options_override_variables_of_the_user():
    users = {"PYROSCOPE_MEM_ENABLED": "false", "PYROSCOPE_CPU_IMPLEMENTATION": "pyspy"}
    asked = made(users, sampler="stack", memory=True)
    assert asked["PYROSCOPE_MEM_ENABLED"] == "true"
    assert asked["PYROSCOPE_CPU_IMPLEMENTATION"] == "stack"
    assert made(users).items() >= users.items()


def test_local_server_is_excluded_from_proxies():
    assert (
        made({"http_proxy": "http://proxy", "NO_PROXY": "intranet"}).items()
        >= {
            "NO_PROXY": "intranet,127.0.0.1",
            "no_proxy": "127.0.0.1",
        }.items()
    )
    assert "no_proxy" not in made({})


def test_variables_that_may_hide_requests_are_listed():
    users = {"OTEL_SDK_DISABLED": "true", "PYROSCOPE_ENABLED": "", "PYROSCOPE_LABELS": "a=b"}
    assert decisive_variables(users) == ["OTEL_SDK_DISABLED"]
