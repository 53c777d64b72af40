"""The API: what came in, as the page and scripts get it."""

import gzip
import json

import pytest

from pyroscope_otel.pprof.messages import PprofProfile
from tests.tools.serve.exports import MS, span

MAIN = ("main", "/srv/shop/app.py", 3)
VIEW = ("cart", "/srv/shop/views.py", 10)
ROUTER = ("route", "/srv/venv/lib/python3.11/site-packages/router/core.py", 7)
SORT = ("sort", "/srv/shop/views.py", 20)
LOAD = ("load", "/srv/shop/models.py", 30)


def profile_id(message):
    return message.span_id.hex()


def node(name, graph):
    """Return the one node of a name in a tree."""
    found, rest = [], [graph["root"]]
    while rest:
        current = rest.pop()
        found += [current] if current["name"] == name else []
        rest += current["children"]
    (only,) = found
    return only


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


def test_status_counts_what_came_in(client):
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


def test_request_has_what_its_root_span_says(client):
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
def test_samples_find_their_request_whichever_comes_first(client, samples_first):
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


def test_request_was_last_seen_when_the_last_profile_with_samples_of_it_began(client):
    root = span()
    client.add(root)
    for seconds in (7, 9, 8):
        client.add_samples((profile_id(root), [MAIN], 10), time_nanos=seconds * 1000 * MS)
    client.add_samples((None, [MAIN], 10), time_nanos=10_000 * MS)
    client.add_memory((profile_id(root), [MAIN], [1, 1, 0, 0]))
    assert client.get("/api/requests")["requests"][0]["last_seen_ms"] == 9000


def test_span_that_is_sent_twice_is_one(client):
    root = span()
    client.add(root)
    client.add(root)
    assert client.get("/api/status")["spans"] == 1
    assert len(client.get("/api/requests")["requests"]) == 1


def test_newest_first_page_by_page(client):
    # Two of each time, so that a page ends between two of the same.
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
            "cpu_ns": None,
            "samples": 0,
            "alloc_bytes": None,
        },
        {
            "profile_id": profile_id(remote),
            "service": "payments",
            "route": "POST /pay",
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
def test_ids_that_are_none(client, path):
    for wrong in ("xyz", "00 00 00 00 00 00", "00112233445566778", "0011223344556_7", "%00" * 16):
        status, _, body = client.request("GET", path.format(wrong.replace(" ", "%20")))
        assert (status, json.loads(body)) == (400, {"error": "a profile id is 16 hex digits"})
    status, _, body = client.request("GET", path.format("00000000000000fe"))
    assert status == 404
    assert "00000000000000fe" in json.loads(body)["error"]


# Routes


# Flame graphs


def test_flame_graph_of_a_request(client):
    root = span()
    client.add(root)
    client.add_samples(
        (profile_id(root), [MAIN, ROUTER, VIEW, SORT], 30),
        (profile_id(root), [MAIN, ROUTER, VIEW], 10),
        (profile_id(root), [MAIN, ROUTER, LOAD], 20),
    )
    graph = client.get("/api/flamegraph", profile_id=profile_id(root))

    def leaf(name, file, line, ms):
        numbers = {"self_ns": ms * MS, "total_ns": ms * MS}
        return {"name": name, "file": file, "line": line, "own": True, **numbers, "children": []}

    cart = {
        **leaf(*VIEW, 10),
        "total_ns": 40 * MS,
        "children": [leaf(*SORT, 30)],
    }
    route = {
        **leaf(*ROUTER, 0),
        "own": False,
        "total_ns": 60 * MS,
        "children": [cart, leaf(*LOAD, 20)],
    }
    main = {**leaf(*MAIN, 0), "total_ns": 60 * MS, "children": [route]}
    top = {**leaf("", "", 0, 0), "own": False, "total_ns": 60 * MS, "children": [main]}
    assert graph == {
        "type": "cpu",
        "title": "GET /cart",
        "requests": 1,
        "samples": 6,
        "total_ns": 60 * MS,
        "root": top,
    }


def test_one_function_at_two_lines_is_one_node_at_the_line_of_most_time(client):
    root = span()
    client.add_samples(
        (profile_id(root), [MAIN, ("cart", "/srv/shop/views.py", 10)], 10),
        (profile_id(root), [MAIN, ("cart", "/srv/shop/views.py", 11)], 30),
        (profile_id(root), [MAIN, ("cart", "/srv/shop/views.py", 12)], 20),
        (profile_id(root), [MAIN, ("cart", "/srv/shop/other.py", 5)], 20),
    )
    graph = client.get("/api/flamegraph", profile_id=profile_id(root))
    other, cart = graph["root"]["children"][0]["children"]
    assert (cart["file"], cart["line"], cart["total_ns"]) == ("/srv/shop/views.py", 11, 60 * MS)
    assert (other["file"], other["line"]) == ("/srv/shop/other.py", 5)


def test_flame_graph_without_its_request(client):
    """The samples came, the span did not (yet): their own label names them."""
    client.add_samples(("00000000000000ab", [MAIN], 20))
    graph = client.get("/api/flamegraph", profile_id="00000000000000AB")
    assert (graph["title"], graph["total_ns"]) == ("GET /cart", 20 * MS)


def test_flame_graph_of_a_request_without_samples(client):
    root = span()
    client.add(root)
    graph = client.get("/api/flamegraph", profile_id=profile_id(root))
    assert (graph["samples"], graph["total_ns"], graph["root"]["children"]) == (0, 0, [])


def test_flame_graphs_merged_over_a_route(client):
    first, second, other = span("a"), span("a"), span("b")
    client.add(first, second, span("a"), other)
    client.add_samples(
        (profile_id(first), [MAIN, VIEW], 10),
        (profile_id(second), [MAIN, VIEW], 20),
        (profile_id(second), [MAIN, LOAD], 40),
        (profile_id(other), [MAIN, SORT], 80),
    )
    graph = client.get("/api/flamegraph", service="shop", route="a")
    assert (graph["title"], graph["requests"], graph["samples"]) == ("a", 3, 7)
    assert graph["total_ns"] == 70 * MS
    assert [(n["name"], n["total_ns"]) for n in node("main", graph)["children"]] == [
        ("cart", 30 * MS),
        ("load", 40 * MS),
    ]


def test_flame_graph_deeper_than_python_recurses(client):
    root = span()
    stack = [(f"f{n}", "/srv/shop/deep.py", n) for n in range(1500)]
    client.add_samples((profile_id(root), stack, 10))
    _, _, body = client.request("GET", f"/api/flamegraph?profile_id={profile_id(root)}")
    assert body.count(b'"name"') == 1 + 1024
    assert b'"name": "(further callers left out)"' in body
    assert b'"name": "f1499"' in body  # the leaf is there, what called it all is not
    assert b'"name": "f1"' not in body


def test_flame_graph_of_nothing(client):
    assert client.refused("/api/flamegraph") == (
        400,
        "a flame graph needs a profile_id, or a service and a route",
    )
    assert client.refused("/api/flamegraph", service="shop", route="a") == (
        404,
        "no request of a of shop is stored",
    )


# Differences


def test_difference_of_two_requests(client):
    left, right = span("a"), span("b")
    client.add(left, right)
    client.add_samples(
        (profile_id(left), [MAIN, VIEW], 10),
        (profile_id(left), [MAIN], 30),
        (profile_id(right), [MAIN, VIEW], 50),
        (profile_id(right), [MAIN, LOAD], 20),
    )
    answer = client.get("/api/difference", profile_id=profile_id(left), against=profile_id(right))
    assert answer["left"] == {"title": "a", "total_ns": 40 * MS, "requests": 1}
    assert answer["right"] == {"title": "b", "total_ns": 70 * MS, "requests": 1}
    main = node("main", answer)
    assert (main["left_ns"], main["right_ns"]) == (40 * MS, 70 * MS)
    assert (main["left_self_ns"], main["right_self_ns"]) == (30 * MS, 0)
    assert (main["self_ns"], main["total_ns"]) == (30 * MS, 110 * MS)
    load = node("load", answer)
    assert (load["left_ns"], load["right_ns"]) == (0, 20 * MS)
    assert (load["file"], load["line"], load["own"]) == ("/srv/shop/models.py", 30, True)


def test_difference_to_the_routes_usual_profile_is_to_the_mean_of_the_others(client):
    mine, other, idle = span("a"), span("a"), span("a")
    client.add(mine, other, idle, span("b"))
    client.add_samples((profile_id(mine), [MAIN, VIEW], 100), (profile_id(other), [MAIN, VIEW], 40))
    answer = client.get("/api/difference", profile_id=profile_id(mine), against_route="1")
    assert answer["left"] == {"title": "a", "total_ns": 100 * MS, "requests": 1}
    assert answer["right"] == {"title": "a, usually", "total_ns": 20 * MS, "requests": 2}
    assert (node("cart", answer)["left_ns"], node("cart", answer)["right_ns"]) == (
        100 * MS,
        20 * MS,
    )


def test_difference_of_nothing(client):
    client.add(alone := span("a"))
    assert client.refused("/api/difference") == (400, "a difference needs a profile_id")
    assert client.refused("/api/difference", profile_id=profile_id(alone)) == (
        400,
        "a difference needs another profile_id, or against_route=1",
    )
    assert client.refused("/api/difference", profile_id=profile_id(alone), against_route="1") == (
        404,
        "a of shop has no other request to compare with",
    )


# pprof


def test_pprof_has_the_stacks_leaf_first(client):
    root = span(start_ms=5000, ms=70)
    client.add(root)
    client.add_samples(
        (profile_id(root), [MAIN, VIEW], 30),
        (profile_id(root), [MAIN, VIEW, SORT], 10),
    )
    status, headers, body = client.request("GET", f"/api/profiles/{profile_id(root)}.pprof")
    assert status == 200
    assert headers["Content-Disposition"] == f'attachment; filename="{profile_id(root)}.pprof"'
    profile = PprofProfile.FromString(gzip.decompress(body))
    strings = profile.string_table
    functions = {function.id: strings[function.name] for function in profile.function}
    locations = {place.id: place.line[0] for place in profile.location}
    assert [(strings[t.type], strings[t.unit]) for t in profile.sample_type] == [
        ("samples", "count"),
        ("cpu", "nanoseconds"),
    ]
    samples = {
        tuple(
            (functions[locations[place].function_id], locations[place].line)
            for place in sample.location_id
        ): list(sample.value)
        for sample in profile.sample
    }
    assert samples == {
        (("cart", 10), ("main", 3)): [3, 30 * MS],
        (("sort", 20), ("cart", 10), ("main", 3)): [1, 10 * MS],
    }
    assert (profile.time_nanos, profile.duration_nanos) == (5000 * MS, 70 * MS)
