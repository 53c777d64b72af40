"""The events that open pages receive."""

import contextlib
import http.client
import json
import logging
import time
from urllib.parse import urlsplit

import pytest

from pyroscope_otel.tools.serve import LocalServer, api
from tests.tools.serve.exports import Client, span


@contextlib.contextmanager
def following(url):
    """Yield the response of the event stream."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/api/events")
        response = connection.getresponse()
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        yield response


def next_event(response):
    lines = [response.readline().decode() for _ in range(3)]
    assert lines[0] == "event: change\n", lines
    assert lines[2] == "\n"
    return json.loads(lines[1].removeprefix("data: "))


def test_changes_are_sent(client):
    with following(client.url) as response:
        assert next_event(response) == {"requests": 0, "profiles": 0}
        root = span()
        client.add(root)
        assert next_event(response) == {"requests": 1, "profiles": 0}
        client.add_samples((root.span_id.hex(), [("f", "f.py", 1)], 10))
        assert next_event(response) == {"requests": 1, "profiles": 1}


def test_many_changes_are_sent_together(client):
    with following(client.url) as response:
        next_event(response)
        begun = time.monotonic()
        for _ in range(50):
            client.add(span())
        told = 0
        while next_event(response)["requests"] < 50:
            told += 1
        # The first change is sent at once, later ones at most once a second.
        assert told <= time.monotonic() - begun + 1


def test_heartbeat(monkeypatch):
    monkeypatch.setattr(api, "_HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(api, "_CHANGE_SECONDS", 0.0)
    with LocalServer(port=0, otlp_port=None) as server, following(server.url) as response:
        next_event(response)
        for _ in range(3):
            assert [response.readline(), response.readline()] == [b": still here\n", b"\n"]
        Client(server.url).add(span())
        while (line := response.readline()) in (b": still here\n", b"\n"):
            pass
        assert line == b"event: change\n"


def test_open_event_streams_do_not_delay_the_shutdown(caplog):
    with LocalServer(port=0, otlp_port=None) as server, following(server.url) as response:
        next_event(response)
        server.__exit__(None, None, None)
        assert response.read() == b""  # a complete response, not a broken connection
        server.__enter__()
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_event_streams_have_a_limit(monkeypatch):
    monkeypatch.setattr(api, "_MAX_FOLLOWERS", 1)
    with LocalServer(port=0, otlp_port=None) as server:
        client = Client(server.url)
        with following(server.url) as response:
            next_event(response)
            assert client.refused("/api/events") == (503, "too many pages follow the changes")
        for _ in range(600):  # until the server notices that the page has left
            client.add(span())
            with contextlib.suppress(AssertionError), following(server.url) as response:
                next_event(response)
                break
            time.sleep(0.05)
        else:
            pytest.fail("the place was never released")
