"""Pushes reach the server, whatever it does in the meantime."""

import time

import pytest

from pyroscope_otel.relay import sender as module
from pyroscope_otel.relay.buffer import Buffer, Push
from pyroscope_otel.relay.destination import Destination
from pyroscope_otel.relay.sender import Sender
from tests.support.push_server import BROKEN, SILENT, Answer, Server, closed_port


class Sending:
    """A running sender and its buffer."""

    def __init__(self, destination, max_bytes=2**20):
        if isinstance(destination, str):
            destination = Destination(destination)
        self.buffer = Buffer(max_bytes)
        self.sender = Sender(destination, self.buffer)

    def __enter__(self):
        self.sender.start()
        return self

    def __exit__(self, *_):
        assert self.sender.stop(30)

    def put(self, *bodies):
        for body in bodies:
            self.buffer.put(Push(body, {"Content-Type": "application/proto"}))
            self.sender.wake()

    def wait_until(self, condition):
        """Poll for a condition, which comes true on the sender's thread."""
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.005)


@pytest.fixture
def soon(monkeypatch):
    """Make pauses short; return what they would have been."""
    failures = []

    def pause_seconds(count):
        failures.append(count)
        return 0.01

    monkeypatch.setattr(module, "pause_seconds", pause_seconds)
    return failures


def test_pushes_are_sent_at_once_and_in_order():
    with Server(200) as server, Sending(server.url + "/prefix") as sending:
        sending.put(b"a", b"b", b"c")
        assert [request.body for request in server.wait_for(3)] == [b"a", b"b", b"c"]
        sending.wait_until(lambda: sending.sender.sent == 3)
    request = server.requests[0]
    assert request.target == "/prefix/push.v1.PusherService/Push"
    assert request.headers["Content-Type"] == "application/proto"
    assert sending.sender.last_answer == "200"
    assert time.time() - 60 < sending.sender.last_answer_at <= time.time()
    assert sending.buffer.waiting() == (0, 0)


def test_credentials_are_sent():
    with Server(200) as server:
        headers = {"X-A": "1"}
        destination = Destination(server.url, "user", "password", "tenant", headers)
        with Sending(destination) as sending:
            sending.put(b"a")
            (request,) = server.wait_for(1)
    assert {name: request.headers[name] for name in ("Authorization", "X-Scope-OrgID", "X-A")} == {
        "Authorization": "Basic dXNlcjpwYXNzd29yZA==",
        "X-Scope-OrgID": "tenant",
        "X-A": "1",
    }


@pytest.mark.parametrize("trouble", [BROKEN, 408, 429, 500, 503])
def test_temporary_failure_is_retried_until_it_is_over(soon, trouble):
    with Server(trouble, trouble, trouble, 200) as server, Sending(server.url) as sending:
        sending.put(b"a")
        server.wait_for(4)
        sending.wait_until(lambda: sending.sender.sent == 1)
    assert server.bodies == [b"a"] * 4
    assert soon == [1, 2, 3]
    assert (sending.buffer.waiting(), sending.buffer.dropped) == ((0, 0), 0)


def test_pauses_start_again_after_a_success(soon):
    with Server(500, 500, 200, 500, 200) as server, Sending(server.url) as sending:
        sending.put(b"a")
        sending.wait_until(lambda: sending.sender.sent == 1)
        sending.put(b"b")
        sending.wait_until(lambda: sending.sender.sent == 2)
    assert soon == [1, 2, 1]


def test_server_that_was_away_gets_the_waiting_pushes(soon):
    port = closed_port()
    with Sending(f"http://127.0.0.1:{port}") as sending:
        sending.put(b"a", b"b")
        sending.wait_until(lambda: len(soon) >= 3)
        assert sending.sender.last_answer == "Connection refused"
        with Server(200, port=port) as server:
            server.wait_for(2)
            sending.wait_until(lambda: sending.sender.sent == 2)
    assert sorted(server.bodies) == [b"a", b"b"]


@pytest.mark.usefixtures("soon")
def test_silent_server_is_given_up_after_the_timeout(monkeypatch):
    monkeypatch.setattr(module, "_TIMEOUT_SECONDS", 0.2)
    with Server(SILENT, 200) as server, Sending(server.url) as sending:
        sending.put(b"a")
        server.wait_for(2)
        sending.wait_until(lambda: sending.sender.sent == 1)


@pytest.mark.usefixtures("soon")
def test_retry_after_is_obeyed():
    later = Answer(503, (("Retry-After", "1"),))
    with Server(later, 200) as server, Sending(server.url) as sending:
        before = time.monotonic()
        sending.put(b"a", b"b")
        server.wait_for(3)
        # No upper bound: the machine may be busy.
        assert time.monotonic() - before >= 1
    assert server.bodies == [b"a", b"b", b"a"]


@pytest.mark.usefixtures("soon")
def test_push_that_the_server_fails_on_delays_no_other():
    with Server(*[500] * 2, 200, 500, 200) as server, Sending(server.url) as sending:
        sending.put(b"bad", b"good")
        server.wait_for(5)
        sending.put(b"new")
        sending.wait_until(lambda: sending.sender.sent == 3)
    assert server.bodies == [b"bad", b"good", b"bad", b"good", b"good", b"new"]


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 413, 422])
def test_permanent_failure_drops_the_push_and_is_logged_once(status, logged):
    with Server(Answer(status, body=b"no"), Answer(status), 200) as server:
        with Sending(server.url) as sending:
            sending.put(b"a", b"b", b"c")
            server.wait_for(3)
            sending.wait_until(lambda: sending.sender.sent == 1)
        assert server.bodies == [b"a", b"b", b"c"]
        assert sending.buffer.dropped == 2
        (line,) = logged(1)
        assert line.startswith(f"ERROR Profiles are lost: {server.url} answers {status} (no). ")


@pytest.mark.usefixtures("soon")
def test_outage_is_two_log_lines(logged):
    with Server(503, 503, 503, 200) as server:
        with Sending(server.url) as sending:
            sending.put(b"a")
            server.wait_for(4)
            sending.wait_until(lambda: sending.sender.sent == 1)
        begin, end = logged(2)
    assert begin == (
        f"WARNING Cannot send profiles to {server.url}: it answers 503. They are kept for up to "
        "an hour, at most 1 MiB, and sent when the server accepts them again"
    )
    assert end.startswith(f"WARNING {server.url} takes profiles again after ")
    assert end.endswith(" s. Nothing was lost")


def test_log_counts_the_pushes_lost_in_an_outage(soon, logged):
    port = closed_port()
    with Sending(f"http://127.0.0.1:{port}", max_bytes=1000) as sending:
        sending.put(b"a")
        sending.wait_until(lambda: soon)
        sending.put(*[b"x" * 400] * 5)
        with Server(200, port=port) as server:
            server.wait_for(2)
            sending.wait_until(lambda: sending.sender.sent == 2)
    assert sending.buffer.dropped == 4
    assert logged(2)[1].endswith(" s. 4 pushes were lost")


@pytest.mark.usefixtures("soon")
def test_log_has_no_secrets(logged):
    said = b"You sent Authorization: Basic dXNlcjpzZWNyZXQ= and X-Key: secret"
    with Server(503, Answer(401, body=said), 200) as server:
        address = server.url.replace("//", "//user:secret@") + "/?token=secret"
        with Sending(Destination(address, http_headers={"X-Key": "secret"})) as sending:
            sending.put(b"a", b"b")
            server.wait_for(3)
            sending.wait_until(lambda: sending.sender.sent == 1)
        lines = logged()
    assert "(You sent Authorization: *** and X-Key: ***)" in lines[-2]
    assert not [line for line in lines if "secret" in line or "dXNl" in line]


class TestFlush:
    def test_nothing_to_send(self):
        with Sending(f"http://127.0.0.1:{closed_port()}") as sending:
            assert sending.sender.flush(30) is True

    def test_all_pushes_are_sent(self):
        with Server(200) as server, Sending(server.url) as sending:
            sending.put(*[bytes([i]) for i in range(20)])
            assert sending.sender.flush(30) is True
            assert len(server.bodies) == 20

    def test_flush_skips_the_pause(self):
        """The pause after a failure is a second or more, and here an hour."""
        later = Answer(503, (("Retry-After", "3600"),))
        with Server(later, 200) as server, Sending(server.url) as sending:
            sending.put(b"a")
            sending.wait_until(lambda: sending.sender.last_answer == "503")
            assert sending.sender.flush(30) is True
            assert server.bodies == [b"a", b"a"]

    def test_each_push_is_tried_once(self):
        with Server(503) as server, Sending(server.url) as sending:
            sending.put(b"a", b"b")
            sending.wait_until(lambda: sending.sender.last_answer == "503")
            before = len(server.bodies)
            assert sending.sender.flush(30) is False
            assert sorted(server.bodies[before:]) == [b"a", b"b"]

    @pytest.mark.usefixtures("soon")
    def test_one_push_is_tried_if_the_server_is_absent(self, monkeypatch):
        monkeypatch.setattr(module, "pause_seconds", lambda _: 3600)
        with Server(BROKEN) as server, Sending(server.url) as sending:
            sending.put(b"a", b"b", b"c")
            server.wait_for(1)
            assert sending.sender.flush(30) is False
            assert len(server.bodies) == 2

    def test_silent_server_does_not_delay_the_flush(self):
        with Server(SILENT) as server, Sending(server.url) as sending:
            sending.put(b"a")
            server.wait_for(1)
            assert sending.sender.flush(0.1) is False
            server.stopping.set()  # and so the server ends the request


def test_stop_does_not_wait_for_a_thread_that_waits_for_an_answer():
    with Server(SILENT) as server:
        sending = Sending(server.url)
        sending.sender.start()
        sending.put(b"a")
        server.wait_for(1)
        assert sending.sender.stop(0.1) is False
        server.stopping.set()
        assert sending.sender.stop(30) is True


@pytest.mark.usefixtures("soon", "reported")
def test_failure_of_ours_does_not_stop_the_sender(monkeypatch):
    with Server(200) as server, Sending(server.url) as sending:
        with monkeypatch.context() as broken:
            broken.setattr(module, "is_temporary", lambda _: 1 / 0)
            sending.put(b"a")
            server.wait_for(2)
        sending.wait_until(lambda: sending.sender.sent == 1)
