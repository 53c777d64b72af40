"""The API's status, requests and traces."""

import json

import pytest

from tests.tools.serve.exports import MS, span
from tests.tools.serve.graphs import LOAD, MAIN, VIEW, node, profile_id

# Status


def test_status_of_an_empty_server(client):
    status = client.get("/api/status")
    assert isinstance(status.pop("version"), str)
    assert client.otlp_url.endswith(f":{status.pop('otlp_port')}")
    assert status.pop("stored_bytes") > 0
    assert status == {
        "spans": 0,
        "requests": 0,
        "profiles": 0,
        "samples_without_request": 0,
        "pushes": 0,
        "trace_exports": 0,
        "last_push_ms": None,
        "last_trace_ms": None,
        "services": [],
        "oldest_ms": None,
        "bound": {"keep_seconds": 86400, "max_bytes": 512_000_000},
    }


def test_status_counts_spans_and_samples(client):
    root = span()
    client.add(root, span(profile=False, trace_id=root.trace_id), service="shop")
    client.add_samples(
        (profile_id(root), [MAIN], 20), (None, [MAIN], 30), ("x" * 16, [MAIN], 10), service="cron"
    )
    status = client.get("/api/status")
    assert status["spans"] == 2
    assert status["requests"] == 1
    assert status["profiles"] == 1
    assert status["samples_without_request"] == 4
    assert (status["pushes"], status["trace_exports"]) == (1, 1)
    assert status["services"] == ["cron", "shop"]
    assert status["oldest_ms"] <= status["last_trace_ms"] <= status["last_push_ms"]


# Requests


def test_request_has_the_data_of_its_root_span(client):
    root = span(
        "GET /cart",
        start_ms=1_700_000_000_000,
        ms=70,
        values={"http.response.status_code": 503, "url.path": "/cart", "url.query": "page=2"},
        status={"code": 2},
    )
    client.add(root)
    (request,) = client.get("/api/requests")["requests"]
    assert request == {
        "profile_id": profile_id(root),
        "trace_id": root.trace_id.hex(),
        "span_id": root.span_id.hex(),
        "service": "shop",
        "route": "GET /cart",
        "kind": "server",
        "start_ms": 1_700_000_000_000,
        "duration_ns": 70 * MS,
        "held_ns": None,
        "cpu_ns": None,
        "samples": 0,
        "cpu_from": None,
        "last_seen_ms": None,
        "alloc_bytes": None,
        "alloc_objects": None,
        "status": "error",
        "http_status": 503,
        "target": "/cart?page=2",
    }


@pytest.mark.parametrize("samples_first", [False, True])
def test_samples_may_arrive_before_or_after_their_request(client, samples_first):
    root = span()
    steps = [
        lambda: client.add(root),
        lambda: client.add_samples((profile_id(root), [MAIN, VIEW], 30)),
    ]
    for step in reversed(steps) if samples_first else steps:
        step()
    (request,) = client.get("/api/requests")["requests"]
    assert (request["cpu_ns"], request["samples"]) == (30 * MS, 3)


def test_samples_of_several_pushes_add_up(client):
    root = span()
    client.add(root)
    client.add_samples((profile_id(root), [MAIN, VIEW], 30))
    client.add_samples((profile_id(root), [MAIN, VIEW], 10), (profile_id(root), [MAIN, LOAD], 20))
    (request,) = client.get("/api/requests")["requests"]
    assert (request["cpu_ns"], request["samples"]) == (60 * MS, 6)
    graph = client.get("/api/flamegraph", profile_id=profile_id(root))
    assert node("cart", graph)["total_ns"] == 40 * MS


def test_last_seen_is_the_start_of_the_last_cpu_profile(client):
    root = span()
    client.add(root)
    for seconds in (7, 9, 8):
        client.add_samples((profile_id(root), [MAIN], 10), time_nanos=seconds * 1000 * MS)
    client.add_samples((None, [MAIN], 10), time_nanos=10_000 * MS)
    client.add_memory((profile_id(root), [MAIN], [1, 1, 0, 0]))
    assert client.get("/api/requests")["requests"][0]["last_seen_ms"] == 9000


def test_span_sent_twice_is_stored_once(client):
    root = span()
    client.add(root)
    client.add(root)
    assert client.get("/api/status")["spans"] == 1
    assert len(client.get("/api/requests")["requests"]) == 1


def test_newest_first_page_by_page(client):
    # Two at each time, so that a page ends between two of the same time.
    roots = [span(f"r{n}", start_ms=1000 + n // 2) for n in range(7)]
    client.add(*roots)
    names, cursor = [], {}
    while cursor is not None:
        page = client.get("/api/requests", limit=3, **cursor)
        names.append([request["route"] for request in page["requests"]])
        cursor = page["next"] and {"before": page["next"]}
    assert [len(page) for page in names] == [3, 3, 1]
    times = {root.name: root.start_time_unix_nano for root in roots}
    seen = [times[name] for page in names for name in page]
    assert seen == sorted(times.values(), reverse=True)
    assert len({name for page in names for name in page}) == 7


def test_filters(client):
    client.add(span("a", ms=10), span("b", ms=200, status={"code": 2}))
    client.add(span("a", ms=300), service="other")

    def names(**query):
        found = client.get("/api/requests", **query)["requests"]
        return sorted((request["service"], request["route"]) for request in found)

    assert names(service="shop") == [("shop", "a"), ("shop", "b")]
    assert names(route="a") == [("other", "a"), ("shop", "a")]
    assert names(service="shop", route="a") == [("shop", "a")]
    assert names(min_ms="200") == [("other", "a"), ("shop", "b")]
    assert names(min_ms="200.5") == [("other", "a")]
    assert names(status="error") == [("shop", "b")]
    assert names(status="ok") == [("other", "a"), ("shop", "a")]
    assert names(service="nobody") == []
    assert names(service="", route="", status="", min_ms="") == names()


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"limit": "0"}, "limit must be from 1 to 500"),
        ({"limit": "501"}, "limit must be from 1 to 500"),
        ({"limit": "x"}, "limit must be a number"),
        ({"min_ms": "x"}, "min_ms must be a number"),
        ({"min_ms": "nan"}, "min_ms must be a number from 0 up"),
        ({"min_ms": "1e300"}, "min_ms must be a number from 0 up"),
        (
            {"status": "good"},
            "status must be ok, error, a code such as 404, or a class such as 5xx",
        ),
        ({"before": "x"}, "before must be the value of next in a response"),
        ({"before": f"{2**64}.1"}, "before must be the value of next in a response"),
        ({"before": "9" * 5000}, "before must be the value of next in a response"),
    ],
)
def test_bad_query(client, query, reason):
    assert client.refused("/api/requests", **query) == (400, reason)


# A request's page


def test_request_with_its_trace(client):
    trace_id = bytes(range(16))
    root = span("GET /cart", trace_id=trace_id, start_ms=1000)
    child = span(
        "SELECT",
        profile=False,
        trace_id=trace_id,
        parent_span_id=root.span_id,
        start_ms=1010,
        ms=5,
        kind=3,
        values={"db.system": "postgresql", "rows": 3, "cached": False, "share": 0.5},
        status={"code": 2, "message": "gone away"},
        events=[{"name": "exception", "time_unix_nano": 1012 * MS}],
    )
    remote = span("POST /pay", trace_id=trace_id, parent_span_id=child.span_id, start_ms=1020)
    client.add(remote, service="payments")
    client.add(child, root)
    client.add_samples((profile_id(remote), [MAIN], 20), service="payments")

    answer = client.get(f"/api/requests/{profile_id(root)}")
    assert answer["request"]["profile_id"] == profile_id(root)
    assert answer["truncated"] is False
    assert [found["name"] for found in answer["spans"]] == ["GET /cart", "SELECT", "POST /pay"]
    assert answer["spans"][1] == {
        "span_id": child.span_id.hex(),
        "parent_span_id": root.span_id.hex(),
        "name": "SELECT",
        "kind": "client",
        "service": "shop",
        "start_ms": 1010,
        "duration_ns": 5 * MS,
        "status": "error",
        "status_message": "gone away",
        "attributes": {"db.system": "postgresql", "rows": 3, "cached": False, "share": 0.5},
        "profile_id": None,
        "events": [{"name": "exception", "offset_ns": 2 * MS, "attributes": {}}],
    }
    assert answer["spans"][0]["profile_id"] == profile_id(root)
    assert answer["spans"][0]["parent_span_id"] is None
    assert answer["profiles"] == [
        {
            "profile_id": profile_id(root),
            "service": "shop",
            "route": "GET /cart",
            "held_ns": None,
            "cpu_ns": None,
            "samples": 0,
            "alloc_bytes": None,
        },
        {
            "profile_id": profile_id(remote),
            "service": "payments",
            "route": "POST /pay",
            "held_ns": None,
            "cpu_ns": 20 * MS,
            "samples": 2,
            "alloc_bytes": None,
        },
    ]


def test_long_trace_is_truncated(client):
    root = span(start_ms=1)
    children = [
        span(profile=False, trace_id=root.trace_id, start_ms=2 + n, name=f"c{n}")
        for n in range(2005)
    ]
    client.add(*children, root)
    answer = client.get(f"/api/requests/{profile_id(root)}")
    assert answer["truncated"] is True
    assert len(answer["spans"]) == 2000
    assert answer["spans"][0]["name"] == "GET /cart"


@pytest.mark.parametrize(
    "path",
    [
        "/api/requests/{}",
        "/api/flamegraph?profile_id={}",
        "/api/difference?profile_id={}&against=00000000000000ff",
        "/api/difference?profile_id={}&against_route=1",
        "/api/profiles/{}.pprof",
    ],
)
def test_malformed_and_unknown_ids(client, path):
    for wrong in ("xyz", "00 00 00 00 00 00", "00112233445566778", "0011223344556_7", "%00" * 16):
        status, _, body = client.request("GET", path.format(wrong.replace(" ", "%20")))
        assert (status, json.loads(body)) == (400, {"error": "a profile id is 16 hex digits"})
    status, _, body = client.request("GET", path.format("00000000000000fe"))
    assert status == 404
    assert "00000000000000fe" in json.loads(body)["error"]
