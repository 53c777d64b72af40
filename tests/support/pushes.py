"""Pushes as an agent builds them, and a client that sends them."""

import contextlib
import gzip
import http.client
import socket
from urllib.parse import urlsplit

from pyroscope_otel.pprof.messages import PprofProfile, PushRequest

PATH = "/push.v1.PusherService/Push"
HEADERS = {"Content-Type": "application/proto", "Content-Encoding": "gzip"}


def pprof(**changes):
    """Return a pprof message: `work` called by `main`, 30 ms for the request r1."""
    fields = {
        "string_table": ["", "cpu", "nanoseconds", "work", "main", "app.py", "request", "r1"],
        "sample_type": [{"type": 1, "unit": 2}],
        "function": [{"id": 1, "name": 3, "filename": 5}, {"id": 2, "name": 4, "filename": 5}],
        "location": [
            {"id": 1, "line": [{"function_id": 1, "line": 10}]},
            {"id": 2, "line": [{"function_id": 2, "line": 20}]},
        ],
        "sample": [
            {"location_id": [1, 2], "value": [30_000_000], "label": [{"key": 6, "str": 7}]},
        ],
        "time_nanos": 1_700_000_000_000_000_000,
        "duration_nanos": 1_000_000_000,
    }
    return PprofProfile(**{**fields, **changes})


def push(*profiles):
    """Return the push message of one series with these raw profiles (by default one good one)."""
    raw = [
        profile if isinstance(profile, bytes) else profile.SerializeToString()
        for profile in profiles or (pprof(),)
    ]
    return PushRequest(
        series=[
            {
                "labels": [{"name": "service_name", "value": "shop"}],
                "samples": [{"raw_profile": profile} for profile in raw],
            }
        ]
    )


def body(*profiles):
    """Return a push's body as the agent sends it."""
    return gzip.compress(push(*profiles).SerializeToString(), mtime=0)


def send(url, content, *, method="POST", path=PATH, headers=HEADERS):
    """Send a request; return the status, the headers and the body of the answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def connect(url):
    """Return a socket connected to the receiver."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=30)


def exchange(url, request):
    """Send raw bytes; return everything that comes back until the receiver hangs up."""
    with connect(url) as connection:
        connection.sendall(request)
        return read_all(connection)


def read_all(connection):
    return b"".join(iter(lambda: connection.recv(65536), b""))
