"""The API's flame graphs, differences and pprof files."""

import gzip

from pyroscope_otel.pprof.messages import PprofProfile
from tests.tools.serve.exports import MS, span
from tests.tools.serve.graphs import LOAD, MAIN, ROUTER, SORT, VIEW, node, profile_id

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


def test_function_at_several_lines_is_one_node_at_the_line_with_most_time(client):
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
    """If the span has not arrived, the title is the samples' label."""
    client.add_samples(("00000000000000ab", [MAIN], 20))
    graph = client.get("/api/flamegraph", profile_id="00000000000000AB")
    assert (graph["title"], graph["total_ns"]) == ("GET /cart", 20 * MS)


def test_flame_graph_of_a_request_without_samples(client):
    root = span()
    client.add(root)
    graph = client.get("/api/flamegraph", profile_id=profile_id(root))
    assert (graph["samples"], graph["total_ns"], graph["root"]["children"]) == (0, 0, [])


def test_flame_graph_of_a_route(client):
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
    assert b'"name": "f1499"' in body  # the leaf is kept, the outermost callers are left out
    assert b'"name": "f1"' not in body


def test_flame_graph_without_or_with_an_unknown_subject(client):
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


def test_difference_to_the_route_uses_the_mean_of_the_other_requests(client):
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


def test_difference_without_a_subject_or_other_requests(client):
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
