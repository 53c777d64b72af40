"""A command of ours in a process of its own, and what its local server answers."""

from __future__ import annotations

import json
import os
import re
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

PATIENCE_SECONDS = 120.0  # a busy machine is ten times as slow


class CommandProcess:
    """A running command, and its output so far."""

    def __init__(self, process, log):
        self.process = process
        self._log = log

    @property
    def printed(self):
        # Not read(): it would move the position at which the command writes.
        return os.pread(self._log.fileno(), 1_000_000, 0).decode()

    def wait_for(self, pattern):
        """Wait for output that matches; return its first group, or all of it without groups."""
        found = wait_until(lambda: self._find(pattern), lambda: f"{pattern} in:\n{self.printed}")
        return found[1] if found.groups() else found[0]

    def _find(self, pattern):
        found = re.search(pattern, self.printed)
        if found is None and self.process.poll() is not None:
            raise AssertionError(f"it ended without {pattern}:\n{self.printed}")
        return found


def wait_until(condition, what):
    """Wait until a condition holds, and return its value."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < give_up_at, f"waited in vain for {what()}"
        time.sleep(0.05)
    return found


def get(url):
    """Return the response body of an address, without a proxy."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    assert answer.status == 200, body
    return body


def ask(url, what):
    """Return the answer of the local server's API."""
    return json.loads(get(f"{url}/api/{what}"))
