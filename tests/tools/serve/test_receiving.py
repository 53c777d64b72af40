"""Traces and pushes that the server receives: accepted, refused, and the error messages."""

import gzip
import json
import zlib

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.support.pushes import body as push_body
from tests.tools.serve.exports import (
    JSON,
    MS,
    PROTOBUF,
    PUSH_PATH,
    TRACES_PATH,
    Client,
    export,
    push,
    span,
)

GZIP = {"Content-Encoding": "gzip"}
PROTO = {"Content-Type": "application/proto"}


def json_export(**changes):
    fields = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "parentSpanId": "eee19b7ec3c1b173",
        "name": "GET /cart",
        "kind": 2,
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": "1544712661000000000",
        "attributes": [
            {"key": "pyroscope.profile.id", "value": {"stringValue": "eee19b7ec3c1b174"}},
            {"key": "http.response.status_code", "value": {"intValue": "404"}},
            {"key": "tags", "value": {"arrayValue": {"values": [{"stringValue": "a"}]}}},
        ],
        "events": [{"name": "e", "timeUnixNano": 1544712660000000005}],
        "links": [{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174"}],
        "status": {"code": 2, "message": "no"},
        "addedLater": True,
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    spans = [{**fields, **changes}]
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}


# Trace exports


def test_traces_in_protobuf(client):
    status, headers, body = client.send_traces(export(span()))
    assert (status, headers["Content-Type"]) == (200, "application/x-protobuf")
    assert ExportTraceServiceResponse.FromString(body) == ExportTraceServiceResponse()
    assert client.get("/api/status")["spans"] == 1


def test_traces_in_json(client):
    status, headers, body = client.send_traces(json.dumps(json_export()), JSON)
    assert (status, headers["Content-Type"], body) == (200, "application/json", b"{}")
    answer = client.get("/api/requests/eee19b7ec3c1b174")
    assert answer["request"]["trace_id"] == "5b8efff798038103d269b633813fc60c"
    assert answer["request"]["http_status"] == 404
    assert answer["spans"] == [
        {
            "span_id": "eee19b7ec3c1b174",
            "parent_span_id": "eee19b7ec3c1b173",
            "name": "GET /cart",
            "kind": "server",
            "service": "shop",
            "start_ms": 1544712660000,
            "duration_ns": 1000 * MS,
            "status": "error",
            "status_message": "no",
            "attributes": {
                "pyroscope.profile.id": "eee19b7ec3c1b174",
                "http.response.status_code": 404,
                "tags": ["a"],
            },
            "events": [{"name": "e", "offset_ns": 5, "attributes": {}}],
            "profile_id": "eee19b7ec3c1b174",
        }
    ]


def test_gzip(client):
    assert client.send_traces(gzip.compress(export(span())), {**PROTOBUF, **GZIP})[0] == 200
    content = gzip.compress(json.dumps(json_export()).encode())
    assert client.send_traces(content, {**JSON, **GZIP})[0] == 200
    assert client.get("/api/status")["spans"] == 2


def test_both_ports_take_traces(shared_server, client):
    assert Client(shared_server.otlp_url).send_traces(export(span()))[0] == 200
    assert client.get("/api/status")["spans"] == 1


def test_chunked_body(client):
    content = export(span())
    chunks = iter([content[:10], content[10:]])
    assert client.request("POST", TRACES_PATH, chunks, PROTOBUF)[0] == 200
    assert client.get("/api/status")["spans"] == 1


def test_empty_export(client):
    assert client.send_traces(b"")[0] == 200
    assert client.send_traces(b"{}", JSON)[0] == 200
    status = client.get("/api/status")
    assert (status["spans"], status["trace_exports"]) == (0, 2)


def test_service_without_a_name(client):
    client.add(span(), service="")
    assert client.get("/api/status")["services"] == ["unknown_service"]


def test_request_without_a_name_gets_one(client):
    client.add(span(name=""))
    (route,) = client.get("/api/routes")["routes"]
    assert route["route"] == "(no name)"
    (request,) = client.get("/api/requests", route=route["route"])["requests"]
    assert request["route"] == "(no name)"


REJECTED = {
    "short trace id": ({"trace_id": b"x"}, "a trace id is not 16 bytes, or all zero"),
    "zero trace id": ({"trace_id": bytes(16)}, "a trace id is not 16 bytes, or all zero"),
    "short span id": ({"span_id": b"x"}, "a span id is not 8 bytes, or all zero"),
    "zero span id": ({"span_id": bytes(8)}, "a span id is not 8 bytes, or all zero"),
    "far future": (
        {"end_time_unix_nano": 2**63},
        "a span's time is after the year 2262",
    ),
    "huge": ({"name": "x" * 2**20}, "a span is larger than 1048576 bytes"),
}


@pytest.mark.parametrize(("changes", "reason"), REJECTED.values(), ids=REJECTED.keys())
def test_malformed_span_does_not_affect_others(client, changes, reason):
    status, _, body = client.send_traces(export(span(), span(**changes), span()))
    answer = ExportTraceServiceResponse.FromString(body)
    assert status == 200
    assert answer.partial_success.rejected_spans == 1
    assert answer.partial_success.error_message == reason
    assert client.get("/api/status")["spans"] == 2


@pytest.mark.parametrize("wrong", ["xyz", "5b8", 7, ["a"]])
def test_json_ids_that_are_not_hex(client, wrong):
    status, _, body = client.send_traces(json.dumps(json_export(traceId=wrong)), JSON)
    assert status == 200
    assert json.loads(body) == {
        "partialSuccess": {"rejectedSpans": "1", "errorMessage": "traceId is not hex digits"}
    }
    assert client.get("/api/status")["spans"] == 0


def test_attribute_of_every_kind(client):
    root = span()
    values = {
        "text": {"string_value": "ü"},
        "number": {"int_value": -(2**63)},
        "share": {"double_value": 0.25},
        "nothing": {"double_value": float("nan")},
        "endless": {"double_value": float("inf")},
        "yes": {"bool_value": True},
        "bytes": {"bytes_value": b"\x00\xff"},
        "list": {"array_value": {"values": [{"int_value": 1}, {}]}},
        "map": {"kvlist_value": {"values": [{"key": "k", "value": {"string_value": "v"}}]}},
        "unset": {},
    }
    for key, value in values.items():
        root.attributes.add(key=key, value=value)
    client.add(root)
    (found,) = client.get(f"/api/requests/{root.span_id.hex()}")["spans"]
    assert found["attributes"] == {
        "pyroscope.profile.id": root.span_id.hex(),
        "text": "ü",
        "number": -(2**63),
        "share": 0.25,
        "nothing": "nan",
        "endless": "inf",
        "yes": True,
        "bytes": "AP8=",
        "list": [1, None],
        "map": {"k": "v"},
        "unset": None,
    }


def test_text_is_shortened_and_sanitised(client):
    content = json.dumps(json_export(name="a" * 2000, status={"message": "b" * 20_000}))
    client.send_traces(content, JSON)
    (found,) = client.get("/api/requests/eee19b7ec3c1b174")["spans"]
    assert found["name"] == "a" * 1023 + "…"
    assert found["status_message"] == "b" * (16 * 1024 - 1) + "…"


def test_span_that_ends_before_it_starts_takes_no_time(client):
    root = span(end_time_unix_nano=1)
    client.add(root)
    assert client.get("/api/requests")["requests"][0]["duration_ns"] == 0


@pytest.mark.parametrize("wrong", ["", "zz" * 8, "0" * 15, "0" * 17, "0011 2233 4455  "])
def test_malformed_profile_id(client, wrong):
    client.add(span(profile=False, values={"pyroscope.profile.id": wrong}))
    status = client.get("/api/status")
    assert (status["spans"], status["requests"]) == (1, 0)


@pytest.mark.parametrize("wrong", [99, 600, "200", 200.0, True])
def test_malformed_http_status(client, wrong):
    client.add(span(values={"http.response.status_code": wrong}))
    assert client.get("/api/requests")["requests"][0]["http_status"] is None


def test_http_status_of_older_conventions(client):
    client.add(span(values={"http.status_code": 204}))
    assert client.get("/api/requests")["requests"][0]["http_status"] == 204


MALFORMED = {
    "no protobuf": (b"\xff" * 9, PROTOBUF, "the body is not an ExportTraceServiceRequest"),
    "no resource": (
        b"\x0a\x02\x0a\x00\xff",
        PROTOBUF,
        "the body is not an ExportTraceServiceRequest",
    ),
    "no span": (
        b"\x0a\x05\x12\x03\x12\x01\xff",
        PROTOBUF,
        "the body is not an ExportTraceServiceRequest",
    ),
    "no UTF-8": (
        b"\x0a\x09\x12\x07\x12\x05\x2a\x03\xff\xff\xff",
        PROTOBUF,
        "the body is not an ExportTraceServiceRequest",
    ),
    "no gzip": (b"hello", {**PROTOBUF, **GZIP}, "the body is not gzip"),
    "truncated gzip": (
        gzip.compress(b"")[:-1],
        {**PROTOBUF, **GZIP},
        "the body is truncated gzip",
    ),
    "zlib": (zlib.compress(b""), {**PROTOBUF, **GZIP}, "the body is not gzip"),
    "no JSON": (b"{", JSON, "the body is not JSON"),
    "JSON too deep": (b"[" * 100_000, JSON, "the body is not JSON"),
    "a number of many digits": (b"9" * 10_000, JSON, "the body is not JSON"),
    "no UTF-8 in JSON": (b'"\xff"', JSON, "the body is not JSON"),
    "a list": (b"[]", JSON, "the body is not an ExportTraceServiceRequest in JSON"),
    "spans that are none": (
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [1]}]}]}',
        JSON,
        "spans is not an array of objects",
    ),
    "no array": (b'{"resourceSpans": {}}', JSON, "resourceSpans is not an array of objects"),
    "a resource that is none": (
        b'{"resourceSpans": [{"resource": 1}]}',
        JSON,
        "the body is not an ExportTraceServiceRequest in JSON",
    ),
    "a name that is none": (
        json.dumps(json_export(name=[1])).encode(),
        JSON,
        "the body is not an ExportTraceServiceRequest in JSON",
    ),
    "a time that is none": (
        json.dumps(json_export(startTimeUnixNano="soon")).encode(),
        JSON,
        "the body is not an ExportTraceServiceRequest in JSON",
    ),
    "attributes too deep": (
        json.dumps(
            json_export(
                attributes=[
                    {
                        "key": "k",
                        "value": json.loads('{"arrayValue": {"values": [' * 60 + "]}}" * 60),
                    }
                ]
            )
        ).encode(),
        JSON,
        "the body is not an ExportTraceServiceRequest in JSON",
    ),
}


@pytest.mark.parametrize(("body", "headers", "reason"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_traces_are_refused_in_their_own_encoding(client, body, headers, reason):
    status, answer_headers, answer = client.send_traces(body, headers)
    assert (status, answer_headers["Content-Type"]) == (400, headers["Content-Type"])
    if headers["Content-Type"] == "application/json":
        assert json.loads(answer) == {"code": 3, "message": reason}
    else:
        assert Status.FromString(answer) == Status(code=3, message=reason)
    assert client.get("/api/status")["trace_exports"] == 0


# Pushes


@pytest.mark.parametrize("media", [PROTO, PROTOBUF])
def test_push(client, media):
    status, headers, body = client.send_push(
        push([("00000000000000ab", [("f", "f.py", 1)], 20)]), media
    )
    assert (status, headers["Content-Type"], body) == (200, media["Content-Type"], b"")
    assert client.get("/api/status")["profiles"] == 1


def test_push_of_another_profile_type_is_ignored(client):
    """Such as the agent's memory profiles."""
    content = push([("00000000000000ab", [("f", "f.py", 1)], 20)])
    assert client.send_push(content.replace(b"\x32\x03cpu", b"\x32\x03mem"))[0] == 200
    status = client.get("/api/status")
    assert (status["profiles"], status["pushes"]) == (0, 1)


def test_push_without_a_period_counts_each_entry(client):
    client.add_samples(("00000000000000ab", [("f", "f.py", 1)], 20), period=0)
    assert client.get("/api/flamegraph", profile_id="00000000000000ab")["samples"] == 1


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"\xff" * 9, PROTO, "the body is not a push.v1.PushRequest"),
        (push_body()[:-1], {**PROTO, **GZIP}, "the body is truncated gzip"),
        (
            push([("00000000000000ab", [("f", "f.py", 1)], -1)]),
            PROTO,
            f"a sample has {-MS} nanoseconds of cpu",
        ),
        (
            push([("00000000000000ab", [("f", "f.py", 1)], 2**53 // MS + 1)]),
            PROTO,
            f"a sample has {(2**53 // MS + 1) * MS} nanoseconds of cpu",
        ),
        (
            push([("00000000000000ab", [("f", "f.py", 1)], 2**53 // MS)] * 1100),
            PROTO,
            f"the samples have more than {2**53} nanoseconds of cpu in all",
        ),
    ],
)
def test_malformed_push(client, body, headers, reason):
    status, _, answer = client.send_push(body, headers)
    assert (status, json.loads(answer)) == (400, {"error": reason})
    assert client.get("/api/status")["pushes"] == 0


# Both


PATHS = pytest.mark.parametrize("path", [PUSH_PATH, TRACES_PATH])


@PATHS
@pytest.mark.parametrize(
    "media", ["text/plain", "", "application/octet-stream", "application/jsonx"]
)
def test_unsupported_content_type(client, path, media):
    status, _, body = client.request("POST", path, b"", {"Content-Type": media})
    assert status == 415
    assert b"Content-Type must be application/" in body


@PATHS
@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd"])
def test_unsupported_encoding(client, path, encoding):
    headers = {**PROTOBUF, "Content-Encoding": encoding}
    status, _, body = client.request("POST", path, b"", headers)
    assert status == 415
    assert b"Content-Encoding must be gzip or identity" in body


@PATHS
def test_content_type_with_parameters(client, path):
    headers = {"Content-Type": "application/x-protobuf; charset=utf-8"}
    assert client.request("POST", path, b"", headers)[0] == 200


@PATHS
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_refused(client, path, method):
    status, headers, body = client.request(method, path)
    assert (status, headers["Allow"]) == (405, "POST")
    assert json.loads(body) == {"error": f"{method} {path}: Method Not Allowed"}
    assert "Access-Control-Allow-Origin" not in headers


def test_unknown_path(client):
    for path in ("/v1/metrics", "/ingest", "/api", "/api/", "/page/", "/v1/traces/"):
        assert client.refused(path) == (404, f"GET {path}: Not Found")
