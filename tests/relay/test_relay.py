"""The whole relay: pushes in, translated pushes out."""

import contextlib
import gzip
import http.client

import pytest

from pyroscope_otel.relay.destination import Destination
from pyroscope_otel.relay.relay import Relay, RelayState
from pyroscope_otel.tools.receiver import Receiver
from tests.relay.links import Link
from tests.relay.rows import Mark, body, profiles_of, row, rows_of
from tests.support.push_server import SILENT, Server, closed_port

PATH = "/push.v1.PusherService/Push"


@contextlib.contextmanager
def relaying(url, link=None, **options):
    link = link or Link()
    options.setdefault("upload_buffer", link.upload_buffer)
    relay = Relay(Destination(url), labels_of=link.labels_of, pushed=link.pushed, **options)
    relay.start()
    try:
        yield relay
    finally:
        assert relay.stop(30)


def push(relay, sent, encoding="gzip"):
    headers = {**relay.headers, "Content-Type": "application/proto", "User-Agent": "agent/1"}
    if encoding:
        headers["Content-Encoding"] = encoding
    connection = http.client.HTTPConnection(relay.url.removeprefix("http://"), timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", PATH, sent, headers)
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"")


def test_push_arrives_with_span_labels():
    with Server(200) as server, relaying(server.url) as relay:
        push(relay, body(row("work", Mark(7), "main"), row("other")))
        assert relay.flush(30)
        (request,) = server.requests
    (profile,) = profiles_of(request.body)
    labels = (("span_id", "0000000000000007"), ("span_name", "GET /7"))
    assert rows_of(profile) == [row("work", "main", labels=labels), row("other")]
    expected = {
        "Content-Type": "application/proto",
        "Content-Encoding": "gzip",
        "User-Agent": "agent/1",
    }
    assert expected.items() <= request.headers.items()


def test_secret_does_not_leave_the_process():
    with Server(200) as server, relaying(server.url) as relay:
        push(relay, body(row("work")))
        assert relay.flush(30)
        (secret,) = relay.headers.values()
        assert secret not in str(server.requests)
        assert secret not in repr(relay) + repr(relay.state())


def test_our_receiver_decodes_the_push():
    with Receiver() as receiver, relaying(receiver.url) as relay:
        push(relay, body(row("work", Mark(7))))
        assert relay.flush(30)
        (profile,) = receiver.profiles
    assert profile.samples[0].label("span_name") == "GET /7"


def test_link_is_called_after_each_push():
    link = Link()
    with Server(200) as server, relaying(server.url, link) as relay:
        push(relay, body(row("work", Mark(7))))
        push(relay, body())
    assert link.pushes == [(frozenset({"process_cpu"}), frozenset())] * 2


def test_labels_are_looked_up_when_the_push_arrives():
    """And not when it is sent: the server may be away, and the number may be reused by then."""
    link = Link()
    with relaying(f"http://127.0.0.1:{closed_port()}", link) as relay:
        push(relay, body(row("work", Mark(7))))
        assert len(link.pushes) == 1


@pytest.mark.parametrize(
    ("make", "encoding"),
    [
        (lambda: gzip.compress(b"\xff" * 9), "gzip"),
        (lambda: b"no gzip", "gzip"),
        (lambda: b"\xff" * 9, None),
        (lambda: gzip.compress(bytes(65 * 2**20), 1), "gzip"),
    ],
    ids=["no push", "no gzip", "plain", "too large"],
)
@pytest.mark.usefixtures("reported")
def test_push_that_cannot_be_translated_is_sent_unchanged(logged, make, encoding):
    sent = make()
    link = Link()
    with Server(200) as server, relaying(server.url, link) as relay:
        push(relay, sent, encoding)
        push(relay, sent, encoding)
        push(relay, body(row("work", Mark(7))))
        assert relay.flush(30)
        state = relay.state()
    assert server.bodies[:2] == [sent, sent]
    assert server.requests[0].headers.get("Content-Encoding") == encoding
    assert (state.taken, state.sent, state.untranslated) == (3, 3, 2)
    assert len(link.pushes) == 1
    (line,) = logged(1)
    assert line.startswith(
        "ERROR pyroscope-otel failed to translate profiles; they go on as they are"
    )


@pytest.mark.usefixtures("reported")
def test_failing_link_loses_no_push(logged):
    link = Link()
    link.pushed = lambda *_: 1 / 0
    with Server(200) as server, relaying(server.url, link) as relay:
        push(relay, body(row("work", Mark(7))))
        push(relay, body(row("work", Mark(7))))
        assert relay.flush(30)
        assert len(server.requests) == 2
    logged(1)


def test_without_lines():
    with Server(200) as server, relaying(server.url, without_lines=True) as relay:
        push(relay, body(row("work:7", Mark(7))))
        assert relay.flush(30)
        (request,) = server.requests
    assert rows_of(profiles_of(request.body)[0])[0].frames == ("work:0",)


def test_state():
    with Server(200) as server, relaying(server.url) as relay:
        assert relay.state() == RelayState(server.url, 0, 0, 0, 0, 0, 0, None, None)
        push(relay, body(row("work", Mark(7))))
        assert relay.flush(30)
        state = relay.state()
        assert (state.taken, state.sent, state.waiting, state.dropped) == (1, 1, 0, 0)
        assert (state.last_answer, state.untranslated) == ("200", 0)


def test_state_while_the_server_is_away():
    server = f"http://user:secret@127.0.0.1:{closed_port()}"
    with relaying(server, upload_buffer=3000) as relay:
        sent = body(*(row(f"work_{i}", Mark(i)) for i in range(50)))
        for _ in range(10):
            push(relay, sent)
        assert relay.flush(30) is False
        state = relay.state()
    assert state.taken == 10
    assert (state.sent, state.last_answer) == (0, "Connection refused")
    assert 0 < state.waiting_bytes <= 3000
    assert state.waiting + state.dropped == 10
    assert "secret" not in repr(state)


def test_agent_is_answered_though_the_server_is_silent():
    with Server(SILENT) as server, relaying(server.url) as relay:
        for _ in range(5):
            push(relay, body(row("work")))
        assert relay.flush(0.1) is False
        assert relay.state().waiting == 5
        server.stopping.set()


def test_second_stop_does_nothing():
    with Server(200) as server, relaying(server.url) as relay:
        assert relay.stop(30)
        assert relay.flush(0.1) is False


def test_first_thread_ends_if_the_second_does_not_start(monkeypatch):
    from pyroscope_otel.relay import unpatched

    started = []
    original = unpatched.start_thread

    def start_thread(function, arguments):
        if started:
            raise RuntimeError("can't start new thread")
        started.append(function)
        return original(function, arguments)

    monkeypatch.setattr(unpatched, "start_thread", start_thread)
    link = Link()
    relay = Relay(
        Destination("http://h"),
        labels_of=link.labels_of,
        pushed=link.pushed,
        upload_buffer=link.upload_buffer,
    )
    with pytest.raises(RuntimeError):
        relay.start()
    assert relay._sender._ended.wait(30)
