"""Shared fixtures: a local server and a client."""

import sqlite3

import pytest

from pyroscope_otel.tools.serve import LocalServer
from tests.tools.serve.exports import Client


@pytest.fixture(scope="module")
def shared_file(tmp_path_factory):
    return tmp_path_factory.mktemp("shared") / "data.sqlite"


@pytest.fixture(scope="module")
def shared_server(shared_file):
    with LocalServer(port=0, otlp_port=0, data=shared_file) as server:
        yield server


@pytest.fixture
def client(shared_server, shared_file):
    """A client of a server whose data is deleted first."""
    connection = sqlite3.connect(shared_file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    for table in ("spans", "requests", "samples", "stacks", "frames", "services"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608  fixed names
    connection.execute(
        "UPDATE totals SET pushes = 0, trace_exports = 0, last_push = NULL, last_trace = NULL"
    )
    connection.execute("COMMIT")
    connection.close()
    return Client(shared_server.url, shared_server.otlp_url)
