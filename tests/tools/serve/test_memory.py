"""Memory profiles: what is stored, and how the API shows it."""

import gzip
import json

import pytest

from pyroscope_otel.pprof.messages import PprofProfile
from tests.tools.serve.exports import MS, PROTOBUF, memory_push, span

MAIN = ("main", "/srv/shop/app.py", 3)
VIEW = ("cart", "/srv/shop/views.py", 10)
LOAD = ("load", "/srv/shop/models.py", 30)


@pytest.fixture
def root(client):
    """A request that allocated 300 bytes in 3 objects, and has 20 ms of CPU time."""
    root = span()
    client.add(root)
    client.add_samples((root.span_id.hex(), [MAIN, VIEW], 20))
    client.add_memory(
        (root.span_id.hex(), [MAIN, VIEW], [1, 100, 1, 100]),
        (root.span_id.hex(), [MAIN, LOAD], [2, 200, 0, 0]),
    )
    return root


def children(graph, field):
    (main,) = graph["root"]["children"]
    return {child["name"]: child[field] for child in main["children"]}


def test_request_has_its_allocated_memory(client, root):
    (request,) = client.get("/api/requests")["requests"]
    assert (request["alloc_bytes"], request["alloc_objects"]) == (300, 3)
    assert (request["cpu_ns"], request["samples"]) == (20 * MS, 2)
    assert request["profile_id"] == root.span_id.hex()


def test_memory_of_several_pushes_adds_up(client, root):
    client.add_memory((root.span_id.hex(), [MAIN, VIEW], [1, 50, 1, 50]))
    (request,) = client.get("/api/requests")["requests"]
    assert (request["alloc_bytes"], request["alloc_objects"]) == (350, 4)
    graph = client.get("/api/flamegraph", profile_id=root.span_id.hex(), type="alloc_space")
    assert children(graph, "total_bytes") == {"cart": 150, "load": 200}


def test_live_memory_alone_is_not_stored(client):
    client.add_memory(("00000000000000ab", [MAIN], [0, 0, 5, 500]))
    assert client.refused("/api/flamegraph", profile_id="00000000000000ab")[0] == 404


def test_memory_is_not_cpu_time(client):
    root = span()
    client.add(root)
    client.add_memory((root.span_id.hex(), [MAIN], [1, 100, 0, 0]))
    (request,) = client.get("/api/requests")["requests"]
    assert (request["cpu_ns"], request["cpu_from"], request["alloc_bytes"]) == (None, None, 100)
    assert client.get("/api/status")["profiles"] == 0
    graph = client.get("/api/flamegraph", profile_id=root.span_id.hex())
    assert (graph["total_ns"], graph["root"]["children"]) == (0, [])


def test_memory_without_a_request_is_not_counted_as_samples(client):
    client.add_memory((None, [MAIN], [1, 100, 0, 0]))
    assert client.get("/api/status")["samples_without_request"] == 0


def test_flame_graphs_of_each_type(client, root):
    of = root.span_id.hex()
    for kind, unit, values in (
        ("cpu", "ns", {"cart": 20 * MS}),
        ("alloc_space", "bytes", {"cart": 100, "load": 200}),
        ("alloc_objects", "objects", {"cart": 1, "load": 2}),
    ):
        graph = client.get("/api/flamegraph", profile_id=of, type=kind)
        assert graph["type"] == kind
        assert graph[f"total_{unit}"] == sum(values.values())
        assert children(graph, f"total_{unit}") == values
        assert children(graph, f"self_{unit}") == values


def test_memory_of_a_route(client, root):
    client.add(other := span())
    client.add_memory((other.span_id.hex(), [MAIN, LOAD], [1, 1000, 0, 0]))
    graph = client.get("/api/flamegraph", service="shop", route="GET /cart", type="alloc_space")
    assert graph["requests"] == 2
    assert children(graph, "total_bytes") == {"cart": 100, "load": 1200}
    (route,) = client.get("/api/routes")["routes"]
    assert route["alloc_bytes"] == 1300
    assert root.span_id != other.span_id


def test_difference_of_memory(client, root):
    client.add(other := span())
    client.add_memory((other.span_id.hex(), [MAIN, LOAD], [1, 500, 0, 0]))
    sides = {"profile_id": root.span_id.hex(), "type": "alloc_space"}
    for against in ({"against": other.span_id.hex()}, {"against_route": "1"}):
        graph = client.get("/api/difference", **sides, **against)
        assert (graph["left"]["total_bytes"], graph["right"]["total_bytes"]) == (300, 500)
        assert children(graph, "left_bytes") == {"cart": 100, "load": 200}
        assert children(graph, "right_bytes") == {"cart": 0, "load": 500}


def test_unknown_type(client, root):
    reason = "type must be cpu, alloc_space or alloc_objects"
    query = {"profile_id": root.span_id.hex(), "type": "inuse_space"}
    assert client.refused("/api/flamegraph", **query) == (400, reason)
    assert client.refused("/api/difference", **query, against_route="1") == (400, reason)


def test_memory_as_pprof(client, root):
    path = f"/api/profiles/{root.span_id.hex()}.pprof?type=alloc_space"
    status, headers, body = client.request("GET", path)
    assert status == 200
    assert headers["Content-Disposition"].endswith(f'"{root.span_id.hex()}-memory.pprof"')
    profile = PprofProfile.FromString(gzip.decompress(body))
    text = profile.string_table
    assert [(text[kind.type], text[kind.unit]) for kind in profile.sample_type] == [
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
    ]
    assert sorted(list(sample.value) for sample in profile.sample) == [[1, 100], [2, 200]]


def test_trace_tells_whether_memory_is_profiled(client):
    client.add(root := span())
    path = f"/api/requests/{root.span_id.hex()}"
    assert client.get(path)["profiler"] == {"memory": False, "cpu_from": None}
    client.add_memory((None, [MAIN], [1, 100, 0, 0]))
    assert client.get(path)["profiler"] == {"memory": True, "cpu_from": None}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([-1, 1, 0, 0], "a sample has -1 count of alloc_objects"),
        ([1, 2**53 + 1, 0, 0], f"a sample has {2**53 + 1} bytes of alloc_space"),
    ],
)
def test_malformed_memory(client, values, reason):
    body = memory_push([("00000000000000ab", [MAIN], values)])
    status, _, answer = client.send_push(body, PROTOBUF)
    assert (status, json.loads(answer)) == (400, {"error": reason})
    assert client.get("/api/status")["profiles"] == 0


# How samplers are told apart


@pytest.mark.parametrize(
    ("milliseconds", "says"),
    [((10, 30), "samples"), ((10, 31), "clock"), ((9.697,), "clock")],
)
def test_source_of_cpu_time(client, milliseconds, says):
    """PySpy's values are multiples of the period; Stack's come from a clock."""
    client.add(root := span())
    client.add_samples(*((root.span_id.hex(), [MAIN], ms) for ms in milliseconds))
    (request,) = client.get("/api/requests")["requests"]
    assert request["cpu_from"] == says
    # Clock times do not show the number of samples.
    assert request["samples"] == (sum(milliseconds) // 10 if says == "samples" else 0)
    answer = client.get(f"/api/requests/{root.span_id.hex()}")
    assert answer["profiler"] == {"memory": False, "cpu_from": says}


def test_request_without_samples_has_the_sampler_of_its_service(client):
    client.add(root := span())
    client.add_samples((None, [MAIN], 11))
    answer = client.get(f"/api/requests/{root.span_id.hex()}")
    assert answer["request"]["cpu_from"] is None
    assert answer["profiler"]["cpu_from"] == "clock"
