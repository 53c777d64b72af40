"""Runs a local server, and connects to it with plain sockets."""

import contextlib
import socket
from urllib.parse import urlsplit

from pyroscope_otel.tools.serve import LocalServer
from tests.tools.serve.exports import Client


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
