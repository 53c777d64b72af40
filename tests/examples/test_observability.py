"""Checks that addresses, ports and names in the compose file and its mounted files agree.

The tests of each example check the spans and profiles: they run it in the environment of the
compose file, and find a profile with the query of the provisioned data source.
"""

from __future__ import annotations

import re
import shlex
from urllib.parse import urlsplit

import pytest
import yaml

from pyroscope_otel.setup.setting_table import BY_NAME
from tests.examples.started import (
    COMPOSE,
    DATA_SOURCES,
    OBSERVABILITY,
    ROOT,
    TRACES_TO_PROFILES,
    command_of,
)

TEMPO = yaml.safe_load((OBSERVABILITY / "tempo.yaml").read_text())
SERVICES = COMPOSE["services"]
EXAMPLES = {name: service for name, service in SERVICES.items() if "build" in service}
ENVIRONMENT = COMPOSE["x-example"]["environment"]

# The port of Pyroscope's image (its Dockerfile: EXPOSE 4040).
PYROSCOPE_PORT = 4040


def example_files():
    files = [
        *(ROOT / "example_apps").glob("*_app.py"),
        *(ROOT / "example_apps").glob("*/manage.py"),
    ]
    return sorted(str(file.relative_to(ROOT)) for file in files)


def test_every_example_is_a_service_with_its_documented_command():
    wanted = [command_of(file) for file in example_files()]
    commands = [shlex.split(service["command"]) for service in EXAMPLES.values()]
    assert len(wanted) == len(commands)
    for command in wanted:
        assert [one for one in commands if one[: len(command)] == command], command


def test_link_leads_from_tempo_to_the_pyroscope_data_source():
    assert DATA_SOURCES["tempo"]["type"] == "tempo"
    linked = DATA_SOURCES[TRACES_TO_PROFILES["datasourceUid"]]
    assert linked["type"] == "grafana-pyroscope-datasource"


def test_link_queries_cpu_time_and_the_names_of_the_service():
    assert TRACES_TO_PROFILES == {
        "datasourceUid": "pyroscope",
        "profileTypeId": "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
        "tags": [
            {"key": "service.name", "value": "service_name"},
            {"key": "service.namespace", "value": "service_namespace"},
        ],
    }


def listening():
    """Return the host and port of each server in the compose network."""
    receiver = TEMPO["distributor"]["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert receiver.startswith("0.0.0.0:")
    return {
        "traces are queried": ("tempo", TEMPO["server"]["http_listen_port"]),
        "traces are sent": ("tempo", int(receiver.partition(":")[2])),
        "profiles": ("pyroscope", PYROSCOPE_PORT),
    }


@pytest.mark.parametrize(
    ("url", "server"),
    [
        (DATA_SOURCES["tempo"]["url"], "traces are queried"),
        (DATA_SOURCES["pyroscope"]["url"], "profiles"),
        (ENVIRONMENT["OTEL_EXPORTER_OTLP_ENDPOINT"], "traces are sent"),
        (ENVIRONMENT["PYROSCOPE_SERVER_ADDRESS"], "profiles"),
    ],
)
def test_addresses_match_the_ports_of_the_servers(url, server):
    host, port = listening()[server]
    assert host in SERVICES
    assert (urlsplit(url).hostname, urlsplit(url).port) == (host, port)


def test_servers_are_published_on_default_ports():
    # https://opentelemetry.io/docs/specs/otel/protocol/exporter/: 4318.
    assert SERVICES["tempo"]["ports"] == ["127.0.0.1:4318:4318"]
    default = urlsplit(BY_NAME["server_address"].default)
    assert SERVICES["pyroscope"]["ports"] == [f"127.0.0.1:{default.port}:{PYROSCOPE_PORT}"]


def test_every_service_is_published_on_its_own_loopback_port():
    published = [
        re.fullmatch(r"127\.0\.0\.1:(\d+):\d+", port)[1]
        for service in SERVICES.values()
        for port in service["ports"]
    ]
    assert len(set(published)) == len(published) == len(SERVICES)


def test_every_example_listens_on_its_published_port():
    told = {
        (ENVIRONMENT["UVICORN_HOST"], ENVIRONMENT["UVICORN_PORT"]),
        (ENVIRONMENT["FLASK_RUN_HOST"], ENVIRONMENT["FLASK_RUN_PORT"]),
        tuple(ENVIRONMENT["GUNICORN_CMD_ARGS"].removeprefix("--bind=").split(":")),
        # Django's development server takes its address only on the command line.
        tuple(SERVICES["django"]["command"].split()[-1].split(":")),
    }
    published = {port.rpartition(":")[2] for one in EXAMPLES.values() for port in one["ports"]}
    assert {("0.0.0.0", port) for port in published} == told  # noqa: S104  in a container


def test_every_example_has_the_environment_of_its_tests():
    assert all(service["environment"] == ENVIRONMENT for service in EXAMPLES.values())


def test_every_server_has_a_fixed_release():
    images = [service["image"] for service in SERVICES.values() if "image" in service]
    assert len(images) == len(SERVICES) - len(EXAMPLES)
    for image in images:
        assert re.fullmatch(r"grafana/\w+:\d+\.\d+\.\d+", image)


def test_every_mounted_or_copied_file_exists():
    mounted = [
        volume.split(":")[0] for one in SERVICES.values() for volume in one.get("volumes", ())
    ]
    assert mounted
    assert [path for path in mounted if not (OBSERVABILITY / path).is_file()] == []
    build = COMPOSE["x-example"]["build"]
    context = (OBSERVABILITY / build["context"]).resolve()
    assert context == ROOT
    dockerfile = (context / build["dockerfile"]).read_text()
    copied = [
        path
        for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE)
        for path in line.split()[:-1]
    ]
    assert copied
    assert [path for path in copied if not (context / path).exists()] == []
