"""Parts of the machine that tests need: a clean environment, a free port."""

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
    """Reserve a port of this machine on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
