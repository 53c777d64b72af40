"""Random input to the server: it is accepted or refused, and never causes a failure.

By default this takes a few seconds. After a change to the decoders, set `FUZZ_TIMES=100` in
the environment for a hundred times as many examples.
"""

import contextlib
import gzip
import json
import os
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyroscope_otel.pprof.pushes import MalformedPush
from pyroscope_otel.tools.serve.samples import decode_samples
from pyroscope_otel.tools.serve.store import Store
from pyroscope_otel.tools.serve.traces import MalformedTraces, decode_traces
from tests.support.pushes import body as push_body
from tests.tools.serve.exports import JSON, PROTOBUF, export, push, span
from tests.tools.serve.test_receiving import json_export

# The data is deleted once for all examples, on purpose.
OPTIONS = {
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
TIMES = int(os.environ.get("FUZZ_TIMES", "1"))
EXAMPLES = settings(max_examples=10 * TIMES, **OPTIONS)  # over HTTP
MORE_EXAMPLES = settings(max_examples=100 * TIMES, **OPTIONS)
ACCEPTED_OR_REFUSED = {200, 400, 413}

GOOD_TRACES = export(
    span(values={"a": "b", "n": 1}, events=[{"name": "e"}], status={"code": 2, "message": "m"}),
    span(profile=False),
)
GOOD_PUSH = push([("00000000000000ab", [("f", "f.py", 1), ("g", "g.py", 2)], 20), (None, [], 10)])


@st.composite
def damaged(draw, good):
    """Return a good body with some bytes changed, removed or inserted."""
    body = bytearray(good)
    for _ in range(draw(st.integers(1, 8))):
        where = draw(st.integers(0, max(0, len(body) - 1)))
        length = draw(st.integers(0, 4))
        body[where : where + length] = draw(st.binary(max_size=6))
    return bytes(body)


def answers(client, send, body, headers):
    """Send a body plain and gzipped; fail unless each is accepted or refused."""
    for content, more in ((body, {}), (gzip.compress(body, 1), {"Content-Encoding": "gzip"})):
        status, _, answer = send(content, {**headers, **more})
        assert status in ACCEPTED_OR_REFUSED, (status, answer)
    # What was accepted can be shown.
    for request in client.get("/api/requests", limit=2)["requests"]:
        client.get(f"/api/requests/{request['profile_id']}")
        client.get("/api/flamegraph", profile_id=request["profile_id"])
    client.get("/api/status")
    client.get("/api/routes")


TRACES = st.one_of(st.binary(max_size=300), damaged(GOOD_TRACES))
PUSHES = st.one_of(st.binary(max_size=300), damaged(GOOD_PUSH))


@EXAMPLES
@given(body=TRACES)
def test_traces_in_protobuf(client, body):
    answers(client, client.send_traces, body, PROTOBUF)


@EXAMPLES
@given(body=PUSHES)
def test_pushes(client, body):
    answers(client, client.send_push, body, PROTOBUF)


@pytest.fixture
def store():
    stored = Store(None, keep_seconds=3600, max_bytes=2**30)
    yield stored
    stored.close()


@MORE_EXAMPLES
@given(body=TRACES)
def test_traces_are_stored_or_malformed(store, body):
    with contextlib.suppress(MalformedTraces), store.writing():
        store.add_traces(decode_traces(body, max_bytes=2**20, gzipped=False, as_json=False))


@MORE_EXAMPLES
@given(body=PUSHES)
def test_pushes_are_stored_or_malformed(store, body):
    with contextlib.suppress(MalformedPush), store.writing():
        store.add_samples(decode_samples(body, max_bytes=2**20, gzipped=False))


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "1544712660000"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["key", "value", "values", "stringValue", "intValue", "kvlistValue"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
span_objects = st.dictionaries(
    st.sampled_from([*json_export()["resourceSpans"][0]["scopeSpans"][0]["spans"][0], "flags"]),
    anything,
)
exports = st.one_of(
    anything,
    span_objects.map(lambda changes: json_export(**changes)),
    st.builds(
        lambda resource, spans, more: {
            "resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}, more]
        },
        anything,
        st.lists(span_objects | anything, max_size=3) | anything,
        anything,
    ),
)


JSON_TRACES = exports.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=100)


@EXAMPLES
@given(body=JSON_TRACES)
def test_traces_in_json(client, body):
    answers(client, client.send_traces, body, JSON)


@MORE_EXAMPLES
@given(body=JSON_TRACES)
def test_traces_in_json_are_stored_or_malformed(store, body):
    with contextlib.suppress(MalformedTraces), store.writing():
        store.add_traces(decode_traces(body, max_bytes=2**20, gzipped=False, as_json=True))


@EXAMPLES
@given(
    path=st.sampled_from(
        ["requests", "routes", "flamegraph", "difference", "requests/{}", "profiles/{}.pprof"]
    ),
    query=st.dictionaries(
        st.sampled_from(
            ["service", "route", "min_ms", "status", "limit", "before", "profile_id", "against"]
        ),
        st.text(max_size=20) | st.integers().map(str) | st.just("00000000000000ab"),
    ),
    name=st.text(max_size=20).filter(lambda text: "/" not in text),
)
def test_queries(client, path, query, name):
    quoted = quote(name.encode("utf-8", "replace"), safe="")
    encoded = urlencode(query, errors="replace")
    status, headers, answer = client.request("GET", f"/api/{path.format(quoted)}?{encoded}")
    assert status in (200, 400, 404), (status, answer)
    if headers["Content-Type"] == "application/json":
        json.loads(answer)


@pytest.mark.parametrize(
    "good", [(GOOD_TRACES, "send_traces"), (GOOD_PUSH, "send_push"), (push_body(), "send_push")]
)
def test_bodies_are_good_before_the_damage(client, good):
    body, send = good
    headers = {**PROTOBUF, "Content-Encoding": "gzip"} if body[:2] == b"\x1f\x8b" else PROTOBUF
    assert getattr(client, send)(body, headers)[0] == 200
