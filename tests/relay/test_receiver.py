"""The agent's side of the relay: one client with a secret, and strangers."""

import contextlib
import http.client
import os
import resource
import socket
import threading

import pytest

from pyroscope_otel.relay import receiver as module
from pyroscope_otel.relay.receiver import Receiver

PATH = "/push.v1.PusherService/Push"
TYPE = {"Content-Type": "application/proto"}


class Taken:
    """Keeps what the receiver has accepted."""

    def __init__(self):
        self.pushes = []

    def __call__(self, body, head):
        self.pushes.append((body, head))


@pytest.fixture
def taken():
    return Taken()


@pytest.fixture
def receiver(taken):
    receiver = Receiver(taken)
    receiver.start()
    yield receiver
    assert receiver.stop(30)


def address(receiver):
    host, _, port = receiver.url.removeprefix("http://").rpartition(":")
    return host, int(port)


def client(receiver):
    return contextlib.closing(http.client.HTTPConnection(*address(receiver), timeout=30))


def push(connection, receiver, body=b"abc", headers=None):
    connection.request("POST", PATH, body, {**TYPE, **receiver.headers, **(headers or {})})
    response = connection.getresponse()
    response.read()
    return response.status


def test_receiver_listens_on_loopback_only(receiver):
    assert address(receiver)[0] == "127.0.0.1"


def test_push_is_accepted(receiver, taken):
    with client(receiver) as agent:
        headers = {"Content-Encoding": "gzip", "User-Agent": "pyroscope-rs/1"}
        assert push(agent, receiver, headers=headers) == 200
    ((body, head),) = taken.pushes
    assert (body, head.gzipped, head.user_agent) == (b"abc", True, "pyroscope-rs/1")


def test_empty_push_is_accepted(receiver, taken):
    with client(receiver) as agent:
        assert push(agent, receiver, b"") == 200
    assert [(body, head.gzipped) for body, head in taken.pushes] == [(b"", False)]


def test_connection_stays_open(receiver, taken):
    with client(receiver) as agent:
        agent.connect()
        sock = agent.sock
        assert [push(agent, receiver, bytes([i]) * 10**6) for i in range(5)] == [200] * 5
        assert agent.sock is sock
    assert [body[:1] for body, _ in taken.pushes] == [bytes([i]) for i in range(5)]


def test_push_that_arrives_byte_by_byte(receiver, taken):
    with client(receiver) as agent:
        agent.connect()
        agent.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        send = agent.sock.sendall
        head = "".join(f"{name}: {value}\r\n" for name, value in receiver.headers.items())
        for byte in (
            f"POST {PATH} HTTP/1.1\r\nContent-Type: application/proto\r\n{head}"
            "content-length: 3\r\n\r\nabc"
        ).encode():
            send(bytes([byte]))
        assert agent.sock.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
    assert [body for body, _ in taken.pushes] == [b"abc"]


def test_two_requests_in_one_packet(receiver, taken):
    head = "".join(f"{name}: {value}\r\n" for name, value in receiver.headers.items())
    one = (
        f"POST {PATH} HTTP/1.1\r\nContent-Type: application/proto\r\n{head}"
        "Content-Length: 3\r\n\r\nabc"
    )
    with client(receiver) as agent:
        agent.connect()
        agent.sock.sendall(one.encode() * 2)
        answers = b""
        while answers.count(b"200 OK") < 2:
            answers += agent.sock.recv(1000)
    assert [body for body, _ in taken.pushes] == [b"abc"] * 2


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_connection_is_closed_on_request(receiver, version):
    head = "".join(f"{name}: {value}\r\n" for name, value in receiver.headers.items())
    with socket.create_connection(address(receiver), timeout=30) as agent:
        agent.sendall(
            f"POST {PATH} {version}\r\nContent-Type: application/proto\r\n{head}"
            "Connection: close\r\nContent-Length: 0\r\n\r\n".encode()
        )
        assert b"".join(iter(lambda: agent.recv(1000), b"")).startswith(b"HTTP/1.1 200 OK\r\n")


def refusal(receiver, method="POST", target=PATH, headers=None, version="HTTP/1.1"):
    """Return the status of the answer to a request with the secret. The connection closes."""
    headers = {**receiver.headers, **TYPE, "Content-Length": "0", **(headers or {})}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    with socket.create_connection(address(receiver), timeout=30) as sock:
        sock.sendall("\r\n".join([f"{method} {target} {version}", *lines, "", ""]).encode())
        answer = b"".join(iter(lambda: sock.recv(1000), b""))
    return int(answer.split()[1])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"target": "/"}, 404),
        ({"target": PATH + "/"}, 404),
        ({"target": "http://127.0.0.1" + PATH}, 404),
        ({"method": "GET"}, 405),
        ({"method": "PUT"}, 405),
        ({"version": "HTTP/2"}, 400),
        ({"version": ""}, 400),
        ({"headers": {"Content-Type": "text/plain"}}, 415),
        ({"headers": {"Content-Type": None}}, 415),
        ({"headers": {"Content-Encoding": "br"}}, 415),
        ({"headers": {"Content-Length": None}}, 411),
        ({"headers": {"Transfer-Encoding": "chunked"}}, 411),
        ({"headers": {"Content-Length": "-1"}}, 400),
        ({"headers": {"Content-Length": "1x"}}, 400),
        ({"headers": {"Content-Length": str(16 * 2**20 + 1)}}, 413),
        ({"headers": {"Content-Length": "9" * 5000}}, 413),
        ({"headers": {"content-length": "0"}}, 400),  # a second one
        ({"headers": {"X": "x" * 16384}}, 431),
    ],
)
def test_other_requests_are_refused(receiver, taken, request_, status):
    assert refusal(receiver, **request_) == status
    assert taken.pushes == []


def test_longest_push_is_accepted(receiver, taken):
    with client(receiver) as agent:
        assert push(agent, receiver, bytes(16 * 2**20)) == 200
    assert len(taken.pushes[0][0]) == 16 * 2**20


@pytest.mark.parametrize("secret", [None, "", "x", "\u00e4"])
def test_request_without_the_secret_is_refused(receiver, taken, secret):
    ((name, _),) = receiver.headers.items()
    assert refusal(receiver, headers={name: secret}) == 403
    assert refusal(receiver, method="GET", target="/", headers={name: secret}) == 403
    assert taken.pushes == []


def test_each_receiver_has_its_own_secret(taken):
    receivers = [Receiver(taken) for _ in range(2)]
    secrets = [set(receiver.headers.values()) for receiver in receivers]
    for receiver in receivers:
        receiver.close()
    assert len(set.union(*secrets)) == 2
    assert all(len(value) >= 32 for value in set.union(*secrets))


def test_repr_has_no_secret(receiver):
    assert not any(secret in repr(receiver) for secret in receiver.headers.values())


def test_stalling_strangers_do_not_delay_the_agent(receiver, taken):
    with contextlib.ExitStack() as stack, client(receiver) as agent:
        assert push(agent, receiver) == 200
        strangers = []
        for _ in range(40):
            stranger = stack.enter_context(socket.create_connection(address(receiver), 30))
            stranger.sendall(b"POST / HTTP/1.1\r\nX: ")
            strangers.append(stranger)
        # On its earlier connection, and on a new one.
        assert push(agent, receiver) == 200
        with client(receiver) as other:
            assert push(other, receiver) == 200
        assert len(receiver._connections) <= 17
        # The first strangers have been disconnected.
        assert strangers[0].recv(1) == b""
    assert len(taken.pushes) == 3


def test_slow_request_is_cut_off(taken, monkeypatch):
    monkeypatch.setattr(module, "_REQUEST_SECONDS", 0.2)
    receiver = Receiver(taken)
    receiver.start()
    try:
        with socket.create_connection(address(receiver), timeout=30) as stranger:
            assert stranger.recv(1) == b""  # hung up on
        with client(receiver) as agent:
            assert push(agent, receiver) == 200
            # Between two requests there is no time limit ...
            with socket.create_connection(address(receiver), timeout=30) as stranger:
                assert stranger.recv(1) == b""
            assert push(agent, receiver) == 200
            # ... but once a request has started there is one.
            agent.sock.sendall(b"P")
            assert agent.sock.recv(1) == b""
    finally:
        assert receiver.stop(30)


@pytest.mark.usefixtures("reported")
def test_failure_of_ours_does_not_stop_the_receiver():
    def take(body, _):
        if body == b"bad":
            raise ValueError(body)

    receiver = Receiver(take)
    receiver.start()
    with client(receiver) as agent, pytest.raises(http.client.RemoteDisconnected):
        push(agent, receiver, b"bad")
    with client(receiver) as agent:
        assert push(agent, receiver, b"good") == 200
    assert receiver.stop(30)


def test_receiver_recovers_when_the_process_was_out_of_files(receiver, monkeypatch):
    paused = threading.Event()

    def sleep(seconds):
        paused.set()
        original_sleep(seconds)

    original_sleep = module.unpatched.sleep
    monkeypatch.setattr(module.unpatched, "sleep", sleep)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as sock, client(receiver) as agent:
        agent.sock = sock
        lowest_free = os.open(os.devnull, os.O_RDONLY)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
        try:
            sock.connect(address(receiver))
            assert paused.wait(30)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert push(agent, receiver) == 200


def test_stop_closes_everything(taken):
    receiver = Receiver(taken)
    receiver.start()
    with client(receiver) as agent:
        assert push(agent, receiver) == 200
        assert receiver.stop(30)
        assert agent.sock.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address(receiver), timeout=30)


def test_receiver_does_not_start_without_threads(taken, monkeypatch):
    def start_thread(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(module.unpatched, "start_thread", start_thread)
    receiver = Receiver(taken)
    with pytest.raises(RuntimeError):
        receiver.start()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address(receiver), timeout=30)
