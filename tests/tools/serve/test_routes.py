"""Routes, and the distribution of their durations."""

import itertools
import math
import random

import pytest

from tests.tools.serve.exports import MS, span

MAIN = ("main", "/srv/shop/app.py", 3)
ERROR = {"status": {"code": 2}}


def profile_id(message):
    return message.span_id.hex()


def test_routes(client):
    slow, quick, other = span("a", ms=300, **ERROR), span("a", ms=100), span("b")
    client.add(slow, quick, other)
    client.add(span("a"), service="other")
    client.add_samples((profile_id(slow), [MAIN], 200), (profile_id(quick), [MAIN], 50))
    client.add_memory((profile_id(quick), [MAIN], [1, 70, 0, 0]))
    assert client.get("/api/routes", service="shop")["routes"] == [
        {
            "service": "shop",
            "route": "a",
            "requests": 2,
            "errors": 1,
            "mean_duration_ns": 200 * MS,
            "p50_duration_ns": 100 * MS,
            "p95_duration_ns": 300 * MS,
            "max_duration_ns": 300 * MS,
            "slowest": profile_id(slow),
            "cpu_ns": 250 * MS,
            "alloc_bytes": 70,
        },
        {
            "service": "shop",
            "route": "b",
            "requests": 1,
            "errors": 0,
            "mean_duration_ns": 50 * MS,
            "p50_duration_ns": 50 * MS,
            "p95_duration_ns": 50 * MS,
            "max_duration_ns": 50 * MS,
            "slowest": profile_id(other),
            "cpu_ns": 0,
            "alloc_bytes": None,
        },
    ]
    everywhere = client.get("/api/routes")["routes"]
    assert [(route["service"], route["route"]) for route in everywhere] == [
        ("other", "a"),
        ("shop", "a"),
        ("shop", "b"),
    ]


def test_totals_are_those_of_each_request(client):
    sent = random.Random(1)  # noqa: S311 -- repeatable data
    milliseconds = sent.sample(range(1, 1000), 300)
    made = [(span(sent.choice("abc"), ms=ms), ms, sent.random()) for ms in milliseconds]
    failed = {profile_id(one) for one, _, chance in made if chance < 0.2}
    sampled = {profile_id(one): ms for one, ms, chance in made if 0.1 < chance < 0.6}
    for one, *_ in made:
        if profile_id(one) in failed:
            one.status.code = 2
    client.add(*(one for one, *_ in made))
    client.add_samples(*((key, [MAIN], ms) for key, ms in sampled.items()))
    client.add_memory(*((key, [MAIN], [1, ms, 0, 0]) for key, ms in sampled.items()))
    found = {route["route"]: route for route in client.get("/api/routes")["routes"]}
    assert list(found) == ["a", "b", "c"]
    for name, route in found.items():
        durations = sorted((ms, profile_id(one)) for one, ms, _ in made if one.name == name)
        count = len(durations)
        of_route = [key for _, key in durations]
        resources = sum(sampled.get(key, 0) for key in of_route)
        assert route == {
            "service": "shop",
            "route": name,
            "requests": count,
            "errors": len(failed.intersection(of_route)),
            "mean_duration_ns": round(sum(ms for ms, _ in durations) * MS / count),
            "p50_duration_ns": durations[math.ceil(count * 0.5) - 1][0] * MS,
            "p95_duration_ns": durations[math.ceil(count * 0.95) - 1][0] * MS,
            "max_duration_ns": durations[-1][0] * MS,
            "slowest": of_route[-1],
            "cpu_ns": resources * MS,
            "alloc_bytes": resources,
        }


def test_only_names_of_routes(client):
    client.add(span("b"), span("a"), span("a"))
    client.add(span("a"), service="other")
    names = client.get("/api/routes", names="1")["routes"]
    assert [(route["service"], route["route"]) for route in names] == [
        ("other", "a"),
        ("shop", "a"),
        ("shop", "b"),
    ]
    only = [{"service": "other", "route": "a"}]
    assert client.get("/api/routes", names="1", service="other")["routes"] == only


def test_percentiles(client):
    client.add(*(span("a", ms=number) for number in range(1, 101)))
    (route,) = client.get("/api/routes")["routes"]
    assert (route["p50_duration_ns"], route["p95_duration_ns"]) == (50 * MS, 95 * MS)


def test_distribution_of_durations(client):
    values = [1, 1, 2, 40, 900]
    client.add(*(span("a", ms=ms) for ms in values), slowest := span("a", ms=1000, **ERROR))
    client.add(span("b", ms=7))
    found = client.get("/api/durations", service="shop", route="a")
    assert (found["requests"], found["slowest"]) == (6, profile_id(slowest))
    assert (found["p50_duration_ns"], found["max_duration_ns"]) == (2 * MS, 1000 * MS)
    bars = found["bars"]
    assert 20 <= len(bars) <= 26
    assert sum(bar["requests"] for bar in bars) == 6
    assert [bar["errors"] for bar in bars] == [0] * (len(bars) - 1) + [1]
    assert bars[0]["from_ns"] == 0
    assert all(left["to_ns"] == right["from_ns"] for left, right in itertools.pairwise(bars))


def test_durations_come_with_the_kind_of_profiler(client):
    client.add(one := span("a"))
    found = client.get("/api/durations", service="shop", route="a")
    assert found["profiler"] == {"memory": False, "cpu_from": None}
    client.add_samples((profile_id(one), [MAIN], 10))
    client.add_memory((profile_id(one), [MAIN], [1, 70, 0, 0]))
    found = client.get("/api/durations", service="shop", route="a")
    assert found["profiler"] == {"memory": True, "cpu_from": "samples"}


@pytest.mark.parametrize(
    "values", [[5], [5, 5, 5], [10, 11], [0], [0, 1], [1, 3_600_000], [60_000, 60_001]]
)
def test_bounds_of_each_bar_select_its_requests(client, values):
    client.add(*(span("a", ms=ms) for ms in values))
    client.add(*(span("a", ms=ms, **ERROR) for ms in values[::2]))
    bars = client.get("/api/durations", service="shop", route="a")["bars"]
    for bar in bars:
        bounds = {"min_ms": bar["from_ns"] / 1e6, "max_ms": bar["to_ns"] / 1e6}
        found = client.get("/api/requests", service="shop", route="a", **bounds)["requests"]
        assert len(found) == bar["requests"]
        assert sum(each["status"] == "error" for each in found) == bar["errors"]
    assert sum(bar["errors"] for bar in bars) == len(values[::2])
    assert sum(bar["requests"] - bar["errors"] for bar in bars) == len(values)


def test_durations_without_or_with_an_unknown_route(client):
    assert client.refused("/api/durations") == (400, "durations need a service and a route")
    status, reason = client.refused("/api/durations", service="shop", route="a")
    assert (status, reason) == (404, "no request of a of shop is stored")
