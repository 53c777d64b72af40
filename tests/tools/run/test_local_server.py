"""Which local server `run` uses."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from pyroscope_otel.tools.run.errors import RunFailed
from pyroscope_otel.tools.run.local_server import server
from pyroscope_otel.tools.serve import LocalServer
from tests.tools.command_process import ask
from tests.tools.run.run_process import finished


@pytest.fixture
def foreign():
    """An HTTP server of another kind."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as other:
        thread = Thread(target=other.serve_forever)
        thread.start()
        yield other.server_port
        other.shutdown()
        thread.join()


@pytest.fixture
def running():
    with LocalServer(port=0, otlp_port=None) as one:
        yield one


def port_of(one):
    return int(one.url.rpartition(":")[2])


def test_running_local_server_is_used(tmp_path, running):
    done = finished(tmp_path, "python", "-c", "1", options=("--port", port_of(running)), check=0)
    assert running.url in done.stderr
    assert [one["route"] for one in ask(running.url, "requests")["requests"]] == ["-c"]


def test_earlier_requests_are_not_listed(tmp_path, running):
    options = ("--port", port_of(running))
    finished(tmp_path, "python", "-c", "1", options=options, check=0)
    done = finished(tmp_path, "python", "-c", "1", options=options, check=0)
    assert ask(running.url, "status")["requests"] == 2
    assert "1 request. The slowest:" in done.stderr


def test_with_data_a_running_local_server_is_not_used(tmp_path, running):
    with pytest.raises(RunFailed, match="is taken by something else"):
        ExitStack().enter_context(server(port_of(running), str(tmp_path / "kept")))


def test_requested_port_is_taken(foreign):
    expected = (
        f"port {foreign} is taken by something else. Choose another with --port; "
        "0 means any free port"
    )
    with pytest.raises(RunFailed) as raised:
        ExitStack().enter_context(server(foreign, None))
    assert str(raised.value) == expected


def test_default_port_is_taken(monkeypatch, foreign):
    monkeypatch.setattr("pyroscope_otel.tools.run.local_server._PORT", foreign)
    with server(None, None) as one:
        assert one.is_ours
        assert one.url != f"http://127.0.0.1:{foreign}"
        assert ask(one.url, "status")["requests"] == 0


def test_default_port_is_free(monkeypatch):
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    monkeypatch.setattr("pyroscope_otel.tools.run.local_server._PORT", port)
    with server(None, None) as one:
        assert one == (f"http://127.0.0.1:{port}", True)


def test_data_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"\xff\xd8" * 100)
    options = ("--port", "0", "--data", "holiday.jpg")
    done = finished(tmp_path, "touch", "started", options=options, check=1)
    assert done.stderr.endswith("Choose another with --data\n")
    assert not (tmp_path / "started").exists()
