"""A failing Pyroscope server loses profiles, never requests."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

APP = """
from fastapi import FastAPI
from pyroscope_otel.asgi import PyroscopeMiddleware

app = FastAPI()
app.add_middleware(PyroscopeMiddleware, application_name="shop", upload_interval=1)

@app.get("/{number}")
async def answer(number: int) -> int:
    return number
"""


class _Failing(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(500)

    def log_message(self, *_args):
        self.server.pushed.set()


@contextlib.contextmanager
def failing():
    """Answer each push with 500."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Failing) as server:
        server.pushed = threading.Event()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, server.pushed.is_set
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def silent():
    """Accept connections and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        connections = []

        def connected():
            with contextlib.suppress(BlockingIOError):
                connections.append(server.accept()[0])
            return bool(connections)

        yield server.getsockname()[1], connected
        for connection in connections:
            connection.close()


@contextlib.contextmanager
def refusing():
    """Yield a port with no listener."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield closed.getsockname()[1], lambda: True


@pytest.mark.parametrize("server", [failing, silent, refusing])
def test_no_request_fails(server, tmp_path):
    (tmp_path / "service.py").write_text(APP)
    with server() as (port, was_pushed_to), socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        service = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "service:app", "--fd", str(listener.fileno())],
            cwd=tmp_path,
            env={"PYROSCOPE_SERVER_ADDRESS": f"http://127.0.0.1:{port}"},
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            give_up_at = time.monotonic() + 30
            number = 0
            while number < 100 or not was_pushed_to():
                with urllib.request.urlopen(f"{url}/{number}", timeout=20) as answer:  # noqa: S310  ours
                    assert answer.read() == str(number).encode()
                number += 1
                assert time.monotonic() < give_up_at, "the agent pushed nothing"
        finally:
            service.terminate()
            service.wait(timeout=30)
