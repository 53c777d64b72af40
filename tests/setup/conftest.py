"""Servers that the real agent pushes to."""

from __future__ import annotations

import gzip
import http.server
import socket
import threading

import pytest


class _Pushes(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.pushes.append((self.path, self.headers, gzip.decompress(body)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """Run a server that accepts every push and keeps its path, headers and body in `pushes`."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pushes) as server:
        server.pushes = []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def silent_server_url():
    """Run a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
