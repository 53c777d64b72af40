"""The server's life, whom it answers, what every answer carries, and what it bounds."""

import contextlib
import gc
import gzip
import http.client
import json
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pyroscope_otel.tools.serve import ForeignFile, LocalServer, connection, queries, serve
from pyroscope_otel.tools.serve import server as server_module
from pyroscope_otel.tools.serve.samples import PushRows
from pyroscope_otel.tools.serve.store import Store
from pyroscope_otel.tools.serve.traces import Traces
from tests.tools.serve.exports import (
    JSON,
    PROTOBUF,
    PUSH_PATH,
    TRACES_PATH,
    Client,
    export,
    push,
    span,
)

PATHS = pytest.mark.parametrize("path", [PUSH_PATH, TRACES_PATH])
MEBIBYTE = 1024 * 1024


@contextlib.contextmanager
def running(**options):
    with LocalServer(port=0, otlp_port=0, **options) as server:
        yield Client(server.url)


def port_of(url):
    return urlsplit(url).port


def connect(url):
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=30)


def read_all(opened):
    with contextlib.suppress(ConnectionResetError):
        return b"".join(iter(lambda: opened.recv(65536), b""))
    return b"reset"


# Its life


def test_nothing_is_left_after_the_block():
    before = set(threading.enumerate())
    with LocalServer(port=0, otlp_port=0) as server:
        Client(server.url).add(span())
        urls = {server.url, server.otlp_url}
        assert len(urls) == 2
    left = {thread.name for thread in set(threading.enumerate()) - before}
    # AnyIO keeps idle worker threads of a loop that has ended for a moment.
    assert {name for name in left if "pyroscope" in name} == set()
    for url in urls:
        with pytest.raises(ConnectionRefusedError):
            connect(url)


def test_without_a_second_port():
    with LocalServer(port=0, otlp_port=None) as server:
        assert server.otlp_url == server.url
        assert Client(server.otlp_url).send_traces(export(span()))[0] == 200


def test_port_in_use_is_named_and_nothing_is_held():
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


def test_host_that_is_not_found_is_named():
    reason = r"cannot listen on no such host, port 0: Name or service not known$"
    with pytest.raises(OSError, match=reason), LocalServer(host="no such host", port=0):
        pass


def test_after_a_failure_it_can_be_started_again(monkeypatch):
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


def test_file_of_others_is_refused_and_no_port_is_held(tmp_path):
    (tmp_path / "notes").write_text("x" * 1000)
    # What a test before left to the garbage collector must not go in between.
    gc.collect()
    before = open_files()
    with pytest.raises(ForeignFile), running(data=tmp_path / "notes"):
        pass
    assert open_files() <= before


def open_files():
    return len(list(Path("/dev/fd").iterdir()))


def test_address_that_others_can_reach_is_warned_about(caplog):
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
def test_loopback_address_is_not_warned_about(host, caplog):
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
    assert [path.name for path in tmp_path.iterdir()] == ["data"]  # no -wal: all is in it


def test_serve_leaves_a_handler_of_its_caller():
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
    """Send until the server is gone; note the profile ids of what it has acknowledged."""
    client = Client(url)
    # http.client has many errors for a connection that breaks.
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


def test_what_was_acknowledged_survives_a_kill(tmp_path):
    """Several clients send without pause; the server is killed in the midst of it."""
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


# Whom it answers


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:4040", "LOCALHOST.", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:80"],
)
def test_known_names(client, host):
    assert client.request("GET", "/api/status", headers={"Host": host})[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:4040", "localhost.evil.example", "", "127.0.0.1.evil", "[]"],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/api/status"), ("POST", TRACES_PATH)]
)
def test_a_name_that_resolves_to_us_by_somebody_elses_doing(client, host, method, path):
    headers = {"Host": host, **PROTOBUF}
    status, _, body = client.request(method, path, b"" if method == "POST" else None, headers)
    assert status == 421
    assert json.loads(body) == {"error": "the Host header names another server than this one"}


@pytest.mark.parametrize("path", ["/", "/api/status", "/api/requests/x", "/nothing", TRACES_PATH])
def test_every_answer_carries_the_headers(client, path):
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
def test_nothing_but_the_page_is_served(client, name):
    assert client.request("GET", f"/page/{name}")[0] == 404


# What goes wrong on its own side


def test_failure_of_ours_is_said_and_logged(client, monkeypatch, caplog):
    def fail(_db):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(queries, "status", fail)
    status, reason = client.refused("/api/status")
    assert (status, reason) == (500, "the local server failed; see its log")
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.getMessage() == "The local server failed on /api/status"
    assert "ZeroDivisionError: ours" in caplog.text


def test_file_that_cannot_be_written_means_later(client, monkeypatch):
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


# What it bounds


def test_body_of_the_largest_size_is_taken_and_no_larger_one(client):
    limit = server_module._MAX_BODY_BYTES

    # One length-delimited field that nobody knows, for as long as it takes.
    def filler(size):
        length = size - 5  # a tag, four bytes of length
        seven_bits = [
            (length >> shift & 127) | (128 if shift < 21 else 0) for shift in (0, 7, 14, 21)
        ]
        return bytes([0x7A, *seven_bits]) + bytes(length)

    assert client.send_traces(filler(limit))[0] == 200
    for headers in (PROTOBUF, {**PROTOBUF, "Content-Encoding": "gzip"}):
        content = filler(limit + 1)
        if len(headers) > 1:
            content = gzip.compress(content, 1)
        assert client.send_traces(content, headers)[0] == 413
        assert client.send_push(content, headers)[0] == 413


@PATHS
def test_chunked_body_that_is_too_large(client, path):
    chunks = (bytes(MEBIBYTE) for _ in range(9))
    status, _, body = client.request("POST", path, chunks, PROTOBUF)
    assert status == 413
    assert b"the body is larger than 8388608 bytes" in body


@PATHS
def test_announced_body_that_is_too_large_is_refused_before_it_comes(client, path):
    with connect(client.url) as opened:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {{}}\r\n"
        head = head.format(PROTOBUF["Content-Type"])
        opened.sendall(f"{head}Content-Length: 99999999999\r\n\r\n".encode())
        assert opened.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_more_spans_than_are_taken_at_once(client):
    empty = b"\x12\x00"
    scope = b"\x12" + varint(20_001 * 2) + empty * 20_001
    status, _, body = client.send_traces(b"\x0a" + varint(len(scope)) + scope)
    assert status == 413
    assert b"the body has more than 20000 spans" in body
    parts = client.send_traces(b"\x0a\x00" * 20_001)
    assert parts[0] == 413
    assert b"the body has more than 20000 parts" in parts[2]


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def test_large_json_is_refused(client):
    content = b" " * (4 * MEBIBYTE) + b"{}"
    status, _, body = client.send_traces(content, JSON)
    assert status == 413
    assert json.loads(body)["message"] == "the body is larger than 4194304 bytes of JSON"


@PATHS
@pytest.mark.parametrize("start", [b"", b"x"])
def test_body_that_does_not_come(monkeypatch, path, start):
    monkeypatch.setattr(server_module, "_BODY_SECONDS", 0.2)
    with running() as client, connect(client.url) as opened:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
        )
        opened.sendall(f"{head}Connection: close\r\nContent-Length: 10\r\n\r\n".encode() + start)
        answer = read_all(opened)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the body arrived too slowly" in answer


@pytest.mark.parametrize("said", [b"", b"GET /api/st"])
def test_client_that_says_nothing_more_is_let_go(monkeypatch, said):
    monkeypatch.setattr(connection, "_SECONDS", 0.2)
    with running() as client, connect(client.url) as opened:
        opened.sendall(said)
        assert read_all(opened) == b""


def test_client_that_sends_its_second_head_byte_by_byte_is_let_go(monkeypatch):
    monkeypatch.setattr(connection, "_SECONDS", 0.3)
    with running() as client, connect(client.url) as opened:
        opened.sendall(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert opened.recv(65536).startswith(b"HTTP/1.1 404 ")
        with contextlib.suppress(OSError):
            for _ in range(600):
                opened.sendall(b"X")
                time.sleep(0.05)
            pytest.fail("it was never let go")


# More than the system takes off the server's hands.
LARGE_ANSWER = "x" * (32 * MEBIBYTE)


def test_client_that_does_not_read_its_answer_is_let_go(monkeypatch):
    monkeypatch.setattr(connection, "_READING_SECONDS", 0.3)
    monkeypatch.setattr(queries, "status", lambda _db: {"filler": LARGE_ANSWER})
    with running() as client, connect(client.url) as opened:
        opened.sendall(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(200):
                opened.sendall(b"X")  # fails once the other side is gone
                time.sleep(0.05)
            pytest.fail("it was never let go")


def test_client_that_reads_its_answer_is_not_waited_for_any_more(monkeypatch):
    cancelled, resume = [], connection.Connection.resume_writing

    def noting(self):
        timer = self._unread
        resume(self)
        cancelled.append(timer.cancelled())

    monkeypatch.setattr(connection.Connection, "resume_writing", noting)
    monkeypatch.setattr(queries, "status", lambda _db: {"filler": LARGE_ANSWER})
    with running() as client:
        assert client.get("/api/status")["filler"] == LARGE_ANSWER
    assert cancelled == [True]


def test_too_much_at_once_waits_its_turn(monkeypatch):
    """While one client holds all the room there is, others wait; then all are served."""
    monkeypatch.setattr(server_module, "_MAX_BODIES_BYTES", 1000)
    with running() as client, connect(client.url) as first:
        head = (
            f"POST {TRACES_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        )
        first.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode())
        answers = []
        other = threading.Thread(
            target=lambda: answers.append(client.send_traces(export(span()))[0])
        )
        other.start()
        other.join(timeout=0.3)
        assert answers == []
        first.sendall(b"{}" + b" " * 998)
        assert first.recv(65536).startswith(b"HTTP/1.1 200 ")
        other.join(timeout=30)
        assert answers == [200]


def test_room_is_given_back_when_clients_go_away(monkeypatch):
    monkeypatch.setattr(server_module, "_MAX_BODIES_BYTES", 1000)
    with running() as client:
        head = (
            f"POST {TRACES_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        )
        for _ in range(5):
            with connect(client.url) as gone:
                gone.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
        assert client.send_traces(b"{}" + b" " * 998, JSON)[0] == 200


@PATHS
def test_what_a_body_expands_to_is_gone_before_the_commit(client, monkeypatch, path):
    """Five hundred of them may be in one transaction."""
    kept, writing = [], Store.writing

    def expanded():
        # Not isinstance: it wakes other tests' lazy objects.
        return [one for one in gc.get_objects() if type(one) in (Traces, PushRows)]

    @contextlib.contextmanager
    def looking_at_the_commit(store):
        with writing(store):
            yield
            kept.extend(expanded())

    assert expanded() == []
    monkeypatch.setattr(Store, "writing", looking_at_the_commit)
    bodies = {PUSH_PATH: push([("00000000000000ab", [], 10)]), TRACES_PATH: export(span())}
    assert client.request("POST", path, bodies[path], PROTOBUF)[0] == 200
    assert kept == []


HOSTILE = {
    "spans": lambda n: b"\x0a" + varint(n + 5) + b"\x12" + varint(n) + b"\x12\x00" * (n // 2),
    "resources": lambda n: b"\x0a\x00" * (n // 2),
    "events": lambda n: nested(b"\x5a\x00" * (n // 2)),
    "attributes": lambda n: nested(b"\x4a\x00" * (n // 2)),
}


def nested(content):
    for tag in (b"\x12", b"\x12", b"\x0a"):
        content = tag + varint(len(content)) + content
    return content


MEMORY = """
from pathlib import Path
from pyroscope_otel.tools.serve import LocalServer
from tests.tools.serve.exports import Client, JSON
from tests.tools.serve.test_server import HOSTILE
import gzip
bodies = [make(8 * 2**20 - 64) for make in HOSTILE.values()]
pushes = [b"\\x0a\\x00" * (4 * 2**20 - 8)]
pprof = b"\\x12\\x00" * (4 * 2**20 - 64)
from tests.tools.serve.test_server import varint
for tag in (b"\\x0a", b"\\x12", b"\\x0a"):
    pprof = tag + varint(len(pprof)) + pprof
pushes.append(pprof)
json = b'{"resourceSpans": [' + b"[],{}," * 600_000 + b"1]}"
with LocalServer(port=0, otlp_port=0) as server:
    client = Client(server.url)
    statuses = [client.send_traces(body)[0] for body in bodies]
    statuses += [client.send_push(body)[0] for body in pushes]
    statuses.append(client.send_traces(json, JSON)[0])
print(statuses)
# Not `ru_maxrss`, which begins with that of the process that started this one.
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
print(int(peak.split()[1]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_hostile_bodies_stay_within_the_memory_promised():
    """Small messages that need many times their size: the bodies themselves are ours here too."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        capture_output=True,
        text=True,
        timeout=55,
    )
    statuses, mebibytes = done.stdout.splitlines()
    assert set(json.loads(statuses)) <= {200, 400, 413}
    # Six bodies of 8 MiB are held by the client in the same process.
    assert int(mebibytes) < 300 + 6 * 8
