"""What a test needs of the machine that it runs on: a clean environment, a free port."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager


def clean_environment(monkeypatch):
    for name in os.environ:
        if name.startswith(("PYROSCOPE_", "OTEL_", "DJANGO_")):
            monkeypatch.delenv(name)


@contextmanager
def unused_port():
    """Take a port of this machine at which nothing listens, so that nobody else gets it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
