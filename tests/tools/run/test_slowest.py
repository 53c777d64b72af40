"""The list of the slowest requests."""

from __future__ import annotations

import pytest

from pyroscope_otel.tools.run.slowest import slowest_requests
from pyroscope_otel.tools.serve import LocalServer
from tests.tools.serve.exports import MS, Client, span

HELD = "pyroscope_otel.held"
WORK = [("main", "/srv/shop/app.py", 3), ("price_lines", "/srv/shop/app.py", 9)]


@pytest.fixture(scope="module")
def server():
    with LocalServer(port=0, otlp_port=None) as server:
        yield server


def listed(server, *, sampled_ms):
    """Send a request with a sample; return the list and the link to the request."""
    client = Client(server.url)
    one = span("GET /invoice", ms=300)
    client.add(one)
    if sampled_ms:
        client.add_samples((one.span_id.hex(), WORK, sampled_ms))
    link = f"{server.url}/#/request/{one.span_id.hex()}"
    return slowest_requests(server.url, one.start_time_unix_nano // MS), link


@pytest.mark.parametrize(
    ("sampled_ms", "time", "hottest"),
    [
        (40, "sampled 40 ms", "price_lines 100%"),
        (
            42.4,
            "on CPU 42 ms",
            "price_lines 100%",
        ),  # no multiple of the period: the sampler is Stack
        (0, "on CPU 0 ms", "hardly any CPU time: no sample hit it"),
    ],
)
def test_request_with_its_cpu_time_and_hottest_functions(server, sampled_ms, time, hottest):
    lines, link = listed(server, sampled_ms=sampled_ms)
    words = [line.strip() for line in lines]
    assert words[0] == "1 request. The slowest:"
    assert words[1:4] == [f"300 ms, {time}  GET /invoice", hottest, link]


def test_request_that_went_on_after_its_root_span(server):
    client = Client(server.url)
    root = span("POST /mail", ms=20)
    end = root.start_time_unix_nano + 900 * MS
    client.add(root, span(profile=False, end_time_unix_nano=end, values={HELD: root.span_id.hex()}))
    lines = slowest_requests(server.url, root.start_time_unix_nano // MS)
    assert lines[1] == "      20 ms, held 900 ms, on CPU 0 ms  POST /mail"


def test_list_is_empty_without_requests(server):
    assert slowest_requests(server.url, 1e15) == []
