"""Granian, which needs a fixed port: its log does not name one that the system chose."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, suppress

import pytest

from pyroscope_otel.tools.receiver import Receiver

SHOP = """
import os, time
from pyroscope_otel.asgi import PyroscopeMiddleware as Asgi
from pyroscope_otel.wsgi import PyroscopeMiddleware as Wsgi

def burn():
    until = time.thread_time() + 0.5
    while time.thread_time() < until:
        sum(range(1000))
    return str(os.getpid()).encode()

def wsgi_application(environ, start_response):
    body = burn()
    start_response("200 OK", [])
    return [body]

async def asgi_application(scope, receive, send):
    if scope["type"] == "lifespan":
        for _ in range(2):
            message = await receive()
            await send({"type": message["type"] + ".complete"})
        return
    body = burn()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

wsgi = Wsgi(wsgi_application)
asgi = Asgi(asgi_application)
"""
PATIENCE_SECONDS = 60


def free_port():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


def ask(port):
    """Return the id of the process that answered, or None if none answers yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=20) as answer:
            return answer.read().decode()
    except OSError:
        return None


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_each_worker_uploads_after_sigterm(tmp_path, interface):
    (tmp_path / "shop.py").write_text(SHOP)
    port = free_port()
    with Receiver() as receiver:
        environment = {
            **{name: value for name, value in os.environ.items() if "OTEL_" not in name},
            "PYTHONPATH": str(tmp_path),
            "OTEL_SERVICE_NAME": "shop",
            "PYROSCOPE_SERVER_ADDRESS": receiver.url,
            # Later than the test: every push comes from the stop.
            "PYROSCOPE_UPLOAD_INTERVAL": "600s",
        }
        command = [sys.executable, "-m", "granian", "--interface", interface, "--workers", "2"]
        command += ["--port", str(port), f"shop:{interface}"]
        with subprocess.Popen(command, env=environment, start_new_session=True) as granian:
            try:
                serving = set()
                give_up_at = time.monotonic() + PATIENCE_SECONDS
                while len(serving) < 2 and time.monotonic() < give_up_at:
                    serving |= {ask(port)} - {None}
                assert len(serving) == 2
                assert receiver.profiles == []
                granian.terminate()
                assert granian.wait(PATIENCE_SECONDS) == 0
            finally:
                # If Granian did not stop by itself, its workers would outlive it.
                with suppress(ProcessLookupError):
                    os.killpg(granian.pid, signal.SIGKILL)
        burned = [
            [s for s in profile.samples if "burn" in {frame.function for frame in s.stack}]
            for profile in receiver.profiles
        ]
        assert len(burned) == 2
        assert all(burned)
        assert None not in {sample.label("span_id") for samples in burned for sample in samples}
