"""Asks each endpoint of the API in turn, like a page that is open and used."""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import time
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAUSE_SECONDS = 0.02

Times = dict[str, list[float]]
"""The seconds until each answer, by path and query."""


def get(url: str, path: str, **query: Any) -> bytes:
    """Return the body of a response."""
    with urllib.request.urlopen(f"{url}{path}?{urlencode(query)}", timeout=60) as answer:  # noqa: S310 -- ours
        content: bytes = answer.read()
    return content


def ask_for(url: str, seconds: float) -> Times:
    """Ask each endpoint in turn for some time, with a page's connection for changes open."""
    times: Times = {}
    until = time.monotonic() + seconds
    with _following(url):
        while time.monotonic() < until:
            _ask_once(url, times)
    return times


def ask_rounds(url: str, rounds: int) -> Times:
    """Ask each endpoint in turn for some rounds."""
    times: Times = {}
    for _ in range(rounds):
        _ask_once(url, times)
    return times


def print_times(times: Times) -> None:
    """Print a line for each endpoint."""
    print("   median    99 %  longest  answers")
    for name, seconds in times.items():
        cuts = statistics.quantiles(seconds, n=100, method="inclusive")
        print(
            f"  {cuts[49] * 1e3:4.0f} ms {cuts[98] * 1e3:4.0f} ms  {max(seconds) * 1e3:4.0f} ms"
            f"  {len(seconds):7}  {name}"
        )


def _ask_once(url: str, times: Times) -> None:
    route, profile = _newest_with_samples(url)
    for path, query in (
        ("/", {}),
        ("/api/status", {}),
        ("/api/requests", {}),
        ("/api/requests", {**route, "min_ms": 40}),
        ("/api/requests", {"min_ms": 100_000}),
        ("/api/requests", {"text": "nowhere to be found"}),
        ("/api/requests", {"sort": "duration"}),
        ("/api/requests", {"sort": "allocated"}),
        ("/api/routes", {}),
        ("/api/routes", {"names": 1}),
        (f"/api/requests/{profile['profile_id']}", {}),
        ("/api/flamegraph", profile),
        ("/api/flamegraph", route),
        ("/api/flamegraph", {**route, "type": "alloc_space"}),
        ("/api/durations", route),
        ("/api/difference", {**profile, "against_route": 1}),
    ):
        start = time.perf_counter()
        get(url, path, **query)
        # The profile changes from round to round.
        name = f"{path}?{urlencode(query)}".replace(profile["profile_id"], "ID").removesuffix("?")
        times.setdefault(name, []).append(time.perf_counter() - start)
        time.sleep(_PAUSE_SECONDS)


def _newest_with_samples(url: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return a route, and the newest of its requests that has memory samples, if any has."""
    found = json.loads(get(url, "/api/requests", sort="allocated", limit=1))["requests"][0]
    return (
        {"service": found["service"], "route": found["route"]},
        {"profile_id": found["profile_id"]},
    )


@contextlib.contextmanager
def _following(url: str) -> Iterator[None]:
    """Follow the changes: the server counts its requests after each."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80)) as connection:
        connection.sendall(f"GET /api/events HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        yield
