"""The server's start and end, its clients, headers and failures."""

import contextlib
import gc
import http.client
import json
import logging
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pyroscope_otel.tools.serve import ForeignFile, LocalServer, queries, serve
from pyroscope_otel.tools.serve import server as server_module
from pyroscope_otel.tools.serve.store import Store
from tests.tools.serve.exports import JSON, PROTOBUF, TRACES_PATH, Client, export, push, span
from tests.tools.serve.sockets import connect, port_of, running

# Start and end


def test_no_thread_or_port_is_left_after_the_block():
    before = set(threading.enumerate())
    with LocalServer(port=0, otlp_port=0) as server:
        Client(server.url).add(span())
        urls = {server.url, server.otlp_url}
        assert len(urls) == 2
    left = {thread.name for thread in set(threading.enumerate()) - before}
    # AnyIO keeps idle worker threads for a moment after the end of their loop.
    assert {name for name in left if "pyroscope" in name} == set()
    for url in urls:
        with pytest.raises(ConnectionRefusedError):
            connect(url)


def test_without_a_second_port():
    with LocalServer(port=0, otlp_port=None) as server:
        assert server.otlp_url == server.url
        assert Client(server.otlp_url).send_traces(export(span()))[0] == 200


def test_error_names_a_port_in_use_and_releases_the_other():
    with LocalServer(port=0, otlp_port=0) as server:
        taken = port_of(server.otlp_url)
        free = socket.create_server(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        with (
            pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1, port {taken}: "),
            LocalServer(port=port, otlp_port=taken),
        ):
            pass
        with LocalServer(port=port, otlp_port=None):
            pass


def test_error_names_an_unknown_host():
    reason = r"cannot listen on no such host, port 0: Name or service not known$"
    with pytest.raises(OSError, match=reason), LocalServer(host="no such host", port=0):
        pass


def test_server_can_restart_after_a_failure(monkeypatch):
    def fail(*_arguments, **_options):
        raise ZeroDivisionError

    server = LocalServer(port=0, otlp_port=0)
    before = {*threading.enumerate()}
    with monkeypatch.context() as patch:
        patch.setattr(server_module, "Api", fail)
        with pytest.raises(RuntimeError, match=r"^the local server has failed$"), server:
            pass
    names = {thread.name for thread in {*threading.enumerate()} - before}
    assert "pyroscope-otel-ingest" not in names, "it would write to a file that is closed"
    with server:
        assert Client(server.url).get("/api/status")["spans"] == 0


def test_file_of_another_program_is_refused_and_ports_are_released(tmp_path):
    (tmp_path / "notes").write_text("x" * 1000)
    # Otherwise garbage of earlier tests might be collected in between.
    gc.collect()
    before = open_files()
    with pytest.raises(ForeignFile), running(data=tmp_path / "notes"):
        pass
    assert open_files() <= before


def open_files():
    return len(list(Path("/dev/fd").iterdir()))


def test_warning_about_an_address_that_others_can_reach(caplog):
    with LocalServer(host="0.0.0.0", port=0, otlp_port=0) as server:  # noqa: S104 -- the case
        assert server.url.startswith("http://localhost:")
        assert server.otlp_url.startswith("http://localhost:")
        assert Client(server.url).get("/api/status")["spans"] == 0
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.getMessage() == (
        "The local server listens on 0.0.0.0, which other machines can reach. It is for "
        "development and checks no credentials: anyone who reaches it can read every "
        "request and profile, and send data."
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_no_warning_about_a_loopback_address(host, caplog):
    with running(host=host) as client:
        client.get("/api/status")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


SERVE = """
import sys
from pyroscope_otel.tools.serve import serve
serve(lambda server: print(server.url, flush=True), port=0, otlp_port=0, data=sys.argv[1])
print("ended")
"""


@contextlib.contextmanager
def served(data):
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(data)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_serve_ends_cleanly(how, tmp_path):
    with served(tmp_path / "data") as (process, url):
        Client(url).add(span())
        process.send_signal(how)
        assert process.wait(timeout=30) == 0
        assert process.stdout.read() == "ended\n"
    assert [path.name for path in tmp_path.iterdir()] == [
        "data"
    ]  # no -wal file: everything is in the database


def test_serve_keeps_the_signal_handler_of_its_caller():
    def handle(_signal, _frame):
        raise NotImplementedError

    def interrupt(_server):
        seen.append(signal.getsignal(signal.SIGTERM))
        raise KeyboardInterrupt

    seen, before = [], signal.signal(signal.SIGTERM, handle)
    try:
        serve(interrupt, port=0, otlp_port=0)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [handle]


def send_without_pause(url, acknowledged, *, pushes):
    """Send until the server ends; collect the profile ids that it acknowledged."""
    client = Client(url)
    # http.client has many errors for a broken connection.
    with contextlib.suppress(OSError, http.client.HTTPException):
        while True:
            root = span()
            if pushes:
                body = push([(root.span_id.hex(), [("f", "/srv/app.py", 1)], 10)])
                status = client.send_push(body)[0]
            else:
                status = client.send_traces(export(root))[0]
            assert status == 200
            acknowledged.append((pushes, root.span_id.hex()))


def test_acknowledged_data_survives_a_kill(tmp_path):
    """Several clients send without pause while the server is killed."""
    acknowledged = []
    with served(tmp_path / "data") as (process, url):
        senders = [
            threading.Thread(target=send_without_pause, args=(url, acknowledged), kwargs=options)
            for options in [{"pushes": True}, {"pushes": False}] * 3
        ]
        for sender in senders:
            sender.start()
        while len(acknowledged) < 100:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        for sender in senders:
            sender.join()
    assert {pushes for pushes, _ in acknowledged} == {True, False}
    with running(data=tmp_path / "data") as client:
        for pushes, profile_id in acknowledged:
            if pushes:
                assert client.get("/api/flamegraph", profile_id=profile_id)["samples"] == 1
            else:
                client.get(f"/api/requests/{profile_id}")


# Clients and headers


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:4040", "LOCALHOST.", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:80"],
)
def test_known_host_names(client, host):
    assert client.request("GET", "/api/status", headers={"Host": host})[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:4040", "localhost.evil.example", "", "127.0.0.1.evil", "[]"],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/api/status"), ("POST", TRACES_PATH)]
)
def test_dns_rebinding_is_refused(client, host, method, path):
    headers = {"Host": host, **PROTOBUF}
    status, _, body = client.request(method, path, b"" if method == "POST" else None, headers)
    assert status == 421
    assert json.loads(body) == {"error": "the Host header names another server than this one"}


@pytest.mark.parametrize("path", ["/", "/api/status", "/api/requests/x", "/nothing", TRACES_PATH])
def test_every_response_has_the_security_headers(client, path):
    _, headers, _ = client.request("GET", path)
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert [name for name in headers if name.lower().startswith("access-control")] == []


@pytest.mark.parametrize(
    "name",
    ["..", "../app.py", "..%2fapp.py", "%2e%2e/app.py", "x.js", "", f"{'x' * 300}.js", "%00.js"],
)
def test_only_files_of_the_page_are_served(client, name):
    assert client.request("GET", f"/page/{name}")[0] == 404


# Failures of the server


def test_internal_failure_is_a_500_and_logged(client, monkeypatch, caplog):
    def fail(_db):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(queries, "status", fail)
    status, reason = client.refused("/api/status")
    assert (status, reason) == (500, "the local server failed; see its log")
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.getMessage() == "The local server failed on /api/status"
    assert "ZeroDivisionError: ours" in caplog.text


def test_write_error_is_a_503_with_retry_after(client, monkeypatch):
    def fail(_store, _rows):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Store, "add_traces", fail)
    monkeypatch.setattr(Store, "add_samples", fail)
    reason = "the file cannot be written: database or disk is full"
    status, headers, body = client.send_traces(b"{}", JSON)
    assert (status, headers["Retry-After"]) == (503, "1")
    assert json.loads(body) == {"code": 14, "message": reason}
    status, headers, body = client.send_push(push([]))
    assert (status, headers["Retry-After"]) == (503, "1")
    assert json.loads(body) == {"error": reason}
