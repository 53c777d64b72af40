"""The server's limits: size of bodies, time for clients, and memory."""

import contextlib
import gc
import gzip
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from pyroscope_otel.tools.serve import connection, queries
from pyroscope_otel.tools.serve import server as server_module
from pyroscope_otel.tools.serve.samples import PushRows
from pyroscope_otel.tools.serve.store import Store
from pyroscope_otel.tools.serve.traces import Traces
from tests.tools.serve.exports import JSON, PROTOBUF, PUSH_PATH, TRACES_PATH, export, push, span
from tests.tools.serve.sockets import connect, read_all, running

PATHS = pytest.mark.parametrize("path", [PUSH_PATH, TRACES_PATH])
MEBIBYTE = 1024 * 1024


def test_largest_body_is_accepted_and_a_larger_one_refused(client):
    limit = server_module._MAX_BODY_BYTES

    # One unknown, length-delimited field that fills the body.
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
def test_too_large_chunked_body_is_refused(client, path):
    chunks = (bytes(MEBIBYTE) for _ in range(9))
    status, _, body = client.request("POST", path, chunks, PROTOBUF)
    assert status == 413
    assert b"the body is larger than 8388608 bytes" in body


@PATHS
def test_too_large_announced_body_is_refused_before_it_arrives(client, path):
    with connect(client.url) as opened:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {{}}\r\n"
        head = head.format(PROTOBUF["Content-Type"])
        opened.sendall(f"{head}Content-Length: 99999999999\r\n\r\n".encode())
        assert opened.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_too_many_spans_in_one_body(client):
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
def test_body_that_does_not_arrive(monkeypatch, path, start):
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
def test_silent_client_is_disconnected(monkeypatch, said):
    monkeypatch.setattr(connection, "_SECONDS", 0.2)
    with running() as client, connect(client.url) as opened:
        opened.sendall(said)
        assert read_all(opened) == b""


def test_client_that_sends_its_second_request_slowly_is_disconnected(monkeypatch):
    monkeypatch.setattr(connection, "_SECONDS", 0.3)
    with running() as client, connect(client.url) as opened:
        opened.sendall(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert opened.recv(65536).startswith(b"HTTP/1.1 404 ")
        with contextlib.suppress(OSError):
            for _ in range(600):
                opened.sendall(b"X")
                time.sleep(0.05)
            pytest.fail("it was never disconnected")


# More than the socket buffers hold.
LARGE_ANSWER = "x" * (32 * MEBIBYTE)


def test_client_that_does_not_read_its_response_is_disconnected(monkeypatch):
    monkeypatch.setattr(connection, "_READING_SECONDS", 0.3)
    monkeypatch.setattr(queries, "status", lambda _db: {"filler": LARGE_ANSWER})
    with running() as client, connect(client.url) as opened:
        opened.sendall(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(200):
                opened.sendall(b"X")  # fails after the server disconnects
                time.sleep(0.05)
            pytest.fail("it was never disconnected")


def test_timer_is_cancelled_once_a_client_reads_its_response(monkeypatch):
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


def test_bodies_beyond_the_limit_wait(monkeypatch):
    """While the body of one client fills the limit, others wait; then all are served."""
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


def test_room_is_released_when_clients_disconnect(monkeypatch):
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
def test_decoded_bodies_are_freed_before_the_commit(client, monkeypatch, path):
    """One transaction may contain five hundred."""
    kept, writing = [], Store.writing

    def expanded():
        # Not isinstance: it would evaluate lazy objects of other tests.
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
from tests.tools.serve.test_server_limits import HOSTILE
import gzip
bodies = [make(8 * 2**20 - 64) for make in HOSTILE.values()]
pushes = [b"\\x0a\\x00" * (4 * 2**20 - 8)]
pprof = b"\\x12\\x00" * (4 * 2**20 - 64)
from tests.tools.serve.test_server_limits import varint
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
    """Small messages expand to many times their size. The client's bodies also count here."""
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
    # The client in the same process holds six bodies of 8 MiB.
    assert int(mebibytes) < 300 + 6 * 8
