"""The list of requests: filters, order and pages."""

import pytest

from tests.tools.serve.exports import MS, span

MAIN = ("main", "/srv/shop/app.py", 3)


def profile_id(message):
    return message.span_id.hex()


def listed(client, **query):
    return [request["route"] for request in client.get("/api/requests", **query)["requests"]]


@pytest.fixture
def requests(client):
    """Three requests: a at 1 s, b at 2 s, c at 3 s; b is the slowest, a has the most CPU time."""
    made = {
        "a": span("a", start_ms=1000, ms=20, values={"url.path": "/Cart", "url.query": "q=Shoe"}),
        "b": span("b", start_ms=2000, ms=90, values={"http.response.status_code": 404}),
        "c": span("c/{shop}", start_ms=3000, ms=50, values={"http.response.status_code": 503}),
    }
    client.add(*made.values())
    client.add_samples((profile_id(made["a"]), [MAIN], 80), (profile_id(made["c"]), [MAIN], 10))
    client.add_memory((profile_id(made["c"]), [MAIN], [1, 70, 0, 0]))
    return made


@pytest.mark.usefixtures("requests")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"text": "shoe"}, ["a"]),
        ({"text": "/cart?Q="}, ["a"]),
        ({"text": "{SHOP}"}, ["c/{shop}"]),
        ({"text": "%"}, []),
        ({"text": "c_r"}, []),
        ({"text": "\\"}, []),
        ({"status": "404"}, ["b"]),
        ({"status": "5xx"}, ["c/{shop}"]),
        ({"status": "ok"}, ["c/{shop}", "b", "a"]),
        ({"min_ms": 50, "max_ms": 90}, ["c/{shop}"]),
        ({"since_ms": 2000}, ["c/{shop}", "b"]),
        ({"since_ms": 1000, "until_ms": 3000}, ["b", "a"]),
    ],
)
def test_filters(client, query, found):
    assert listed(client, **query) == found


@pytest.mark.parametrize("name", ["100%", "a_b", "a\\b", "Grüße", "ÉCLAIRS"])
def test_text_is_found_as_it_is_written(client, name):
    client.add(span(f"GET /{name}"), span("GET /plain"))
    assert listed(client, text=name) == [f"GET /{name}"]


def test_ids_are_found(client, requests):
    one = requests["b"]
    for text in (profile_id(one), profile_id(one).upper(), one.trace_id.hex()):
        assert listed(client, text=text) == ["b"]


@pytest.mark.usefixtures("requests")
@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("start", ["c/{shop}", "b", "a"]),
        ("duration", ["b", "c/{shop}", "a"]),
        ("cpu", ["a", "c/{shop}", "b"]),
        ("allocated", ["c/{shop}", "b", "a"]),
    ],
)
def test_orders_page_by_page(client, sort, found):
    assert listed(client, sort=sort) == found
    names, cursor = [], {}
    while cursor is not None:
        page = client.get("/api/requests", sort=sort, limit=1, **cursor)
        names += [request["route"] for request in page["requests"]]
        cursor = {"before": page["next"]} if page["next"] else None
    assert names == found


@pytest.mark.usefixtures("requests")
def test_filters_and_order_go_together(client):
    assert listed(client, sort="duration", min_ms=50) == ["b", "c/{shop}"]
    assert listed(client, sort="cpu", text="a", status="ok") == ["a"]
    assert listed(client, sort="cpu", max_ms=90) == ["a", "c/{shop}"]


@pytest.mark.parametrize("sort", ["start", "duration", "cpu", "allocated"])
def test_rows_with_equal_values_are_on_one_page_each(client, sort):
    client.add(*(span(f"r{number}", ms=5) for number in range(7)))
    first = client.get("/api/requests", sort=sort, limit=4)
    second = client.get("/api/requests", sort=sort, limit=4, before=first["next"])
    names = [request["route"] for page in (first, second) for request in page["requests"]]
    assert sorted(names) == [f"r{number}" for number in range(7)]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"sort": "name"}, "sort must be one of start, duration, cpu, allocated"),
        ({"status": "6xx"}, "status must be ok, error, a code such as 404, or a class such as 5xx"),
        ({"max_ms": "x"}, "max_ms must be a number"),
        ({"since_ms": "-1"}, "since_ms must be a number from 0 up"),
        ({"until_ms": "1e300"}, "until_ms must be a number from 0 up"),
    ],
)
def test_bad_query(client, query, reason):
    assert client.refused("/api/requests", **query) == (400, reason)


@pytest.mark.parametrize(
    ("attributes", "target"),
    [
        ({"url.path": "/a", "url.query": "b=c"}, "/a?b=c"),
        ({"url.path": "/a"}, "/a"),
        ({"http.target": "/a?b=c"}, "/a?b=c"),
        ({"http.url": "http://shop.example/a?b=c"}, "/a?b=c"),
        ({"url.full": "https://shop.example"}, None),
        ({"url.path": "/" + "a" * 5000}, "/" + "a" * 1022 + "…"),
        ({}, None),
    ],
)
def test_target_by_each_semantic_convention(client, attributes, target):
    client.add(span(values=attributes))
    assert client.get("/api/requests")["requests"][0]["target"] == target


def test_bounds_in_milliseconds_are_exact_to_the_nanosecond(client):
    nanoseconds = 125_008  # as floats, 0.125008 times a million is more
    client.add(span("a", start_ms=1000, end_time_unix_nano=1000 * MS + nanoseconds))
    bounds = {"min_ms": nanoseconds / 1e6, "max_ms": (nanoseconds + 1) / 1e6}
    assert listed(client, **bounds) == ["a"]
