"""How long a request was held: the end that `pyroscope-otel run` sends as a span."""

import pytest

from tests.tools.serve.exports import MS, span


def profile_id(message):
    return message.span_id.hex()


def end_of(root, *, ms):
    """Return the span that says that a root's request was let go so much later than it began."""
    end = root.end_time_unix_nano
    return span(
        "held",
        profile=False,
        trace_id=root.trace_id,
        parent_span_id=root.span_id,
        kind=1,
        start_time_unix_nano=end,
        end_time_unix_nano=root.start_time_unix_nano + ms * MS,
        values={"pyroscope_otel.held": profile_id(root)},
    )


@pytest.fixture
def root():
    return span("POST /mail", start_ms=1000, ms=20)


def one(client):
    (request,) = client.get("/api/requests")["requests"]
    return request


def test_request_without_an_end(client, root):
    client.add(root)
    assert one(client)["held_ns"] is None


@pytest.mark.parametrize("together", [True, False])
def test_request_with_an_end(client, root, together):
    end = end_of(root, ms=900)
    for spans in [[root, end]] if together else [[root], [end]]:
        client.add(*spans)
    assert one(client)["held_ns"] == 900 * MS
    found = client.get(f"/api/requests/{profile_id(root)}")
    assert found["request"]["held_ns"] == 900 * MS
    assert [each["held_ns"] for each in found["profiles"]] == [900 * MS]


def test_last_end_counts(client, root):
    client.add(root, end_of(root, ms=900), end_of(root, ms=400))
    assert one(client)["held_ns"] == 900 * MS


def test_end_before_that_of_the_root_span_is_ignored(client, root):
    client.add(root, end_of(root, ms=20))
    assert one(client)["held_ns"] is None


def test_root_that_is_sent_again_keeps_its_end(client, root):
    client.add(root, end_of(root, ms=900))
    client.add(root)
    assert one(client)["held_ns"] == 900 * MS


def test_end_of_an_unknown_request_stores_nothing(client, root):
    client.add(end_of(root, ms=900))
    assert client.get("/api/requests")["requests"] == []
    assert client.get("/api/status")["spans"] == 0


def test_end_is_in_no_other_number(client, root):
    child = span("SELECT", profile=False, trace_id=root.trace_id, parent_span_id=root.span_id)
    trace = f"/api/requests/{profile_id(root)}"

    def answers():
        status = client.get("/api/status")
        return [
            client.get("/api/routes"),
            client.get("/api/durations", service="shop", route="POST /mail"),
            [request["profile_id"] for request in listed(max_ms=21) + listed(sort="duration")],
            client.get(trace)["spans"],
            [status[name] for name in ("spans", "requests", "profiles")],
        ]

    def listed(**query):
        return client.get("/api/requests", **query)["requests"]

    client.add(root, child)
    before = answers()
    client.add(end_of(root, ms=900))
    assert one(client)["held_ns"] == 900 * MS
    assert answers() == before
