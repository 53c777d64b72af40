"""Builds OTLP exports and pushes, and has a client of the local server."""

import contextlib
import http.client
import json
import os
import time
from urllib.parse import urlencode, urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from pyroscope_otel.pprof.messages import PprofProfile, PushRequest
from tests.support.pushes import PATH as PUSH_PATH

TRACES_PATH = "/v1/traces"
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
MS = 1_000_000


def attributes(values):
    """Return attributes in the form of the protobuf message."""
    kinds = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
    return [{"key": key, "value": {kinds[type(value)]: value}} for key, value in values.items()]


def span(name="GET /cart", *, profile=True, start_ms=None, ms=50, **changes):
    """Return a span; with `profile`, a local root span with its profile id."""
    start = time.time_ns() if start_ms is None else start_ms * MS
    span_id = changes.pop("span_id", None) or os.urandom(8)
    values = changes.pop("values", {})
    if profile:
        values = {"pyroscope.profile.id": span_id.hex(), **values}
    fields = {
        "trace_id": os.urandom(16),
        "span_id": span_id,
        "name": name,
        "kind": Span.SPAN_KIND_SERVER,
        "start_time_unix_nano": start,
        "end_time_unix_nano": start + ms * MS,
        "attributes": attributes(values),
    }
    return Span(**{**fields, **changes})


def export(*spans, service="shop"):
    """Return the body of an export."""
    resource = {"attributes": attributes({"service.name": service})}
    return ExportTraceServiceRequest(
        resource_spans=[{"resource": resource, "scope_spans": [{"spans": spans}]}]
    ).SerializeToString()


def memory_push(samples, *, service="shop"):
    """Return the body of a push of a memory profile.

    A sample is a profile id or None, a stack, and objects and bytes allocated and live.
    """
    kinds = ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]
    strings = ["", *kinds, "count", "bytes", "span_id"]
    types = [{"type": 1 + at, "unit": 5 + at % 2} for at in range(4)]
    profile = PprofProfile(sample_type=types, period=524_288)
    for profile_id, stack, values in samples:
        sample = profile.sample.add(value=values)
        for name, file, line in reversed(stack):
            number = len(profile.location) + 1
            strings += [name, file]
            profile.function.add(id=number, name=len(strings) - 2, filename=len(strings) - 1)
            profile.location.add(id=number).line.add(function_id=number, line=line)
            sample.location_id.append(number)
        if profile_id is not None:
            strings.append(profile_id)
            sample.label.add(key=7, str=len(strings) - 1)
    profile.string_table.extend(strings)
    labels = [
        {"name": "__name__", "value": "memory"},
        {"name": "service_name", "value": service},
    ]
    raw = [{"raw_profile": profile.SerializeToString()}]
    return PushRequest(series=[{"labels": labels, "samples": raw}]).SerializeToString()


def push(samples, *, service="shop", period=10 * MS, time_nanos=0):
    """Return the body of a push; a sample is a profile id or None, a stack, and milliseconds."""
    strings = ["", "cpu", "nanoseconds", "span_id", "span_name", "GET /cart"]
    types = [{"type": 1, "unit": 2}]
    profile = PprofProfile(sample_type=types, period=period, time_nanos=time_nanos)

    def string(text):
        if text not in strings:
            strings.append(text)
        return strings.index(text)

    for profile_id, stack, ms in samples:
        locations = []
        for name, file, line in stack:
            number = len(profile.location) + 1
            profile.function.add(id=number, name=string(name), filename=string(file))
            profile.location.add(id=number).line.add(function_id=number, line=line)
            locations.append(number)
        sample = profile.sample.add(location_id=reversed(locations), value=[round(ms * MS)])
        if profile_id is not None:
            sample.label.add(key=3, str=string(profile_id))
            sample.label.add(key=4, str=5)
    profile.string_table.extend(strings)
    labels = [{"name": "service_name", "value": service}]
    raw = [{"raw_profile": profile.SerializeToString()}]
    return PushRequest(series=[{"labels": labels, "samples": raw}]).SerializeToString()


class Client:
    """A client of a local server."""

    def __init__(self, url, otlp_url=None):
        self.url = url
        self.otlp_url = otlp_url

    def request(self, method, path, body=None, headers=None):
        """Return the status, headers and body of the response."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def get(self, path, **query):
        """Return the JSON of a successful response."""
        status, headers, body = self.request("GET", f"{path}?{urlencode(query)}")
        assert status == 200, (status, body)
        assert headers["Content-Type"] == "application/json"
        return json.loads(body)

    def refused(self, path, **query):
        """Return the status and the reason of an error response."""
        status, headers, body = self.request("GET", f"{path}?{urlencode(query)}")
        assert status >= 400, body
        assert headers["Content-Type"] == "application/json"
        return status, json.loads(body)["error"]

    def send_traces(self, body, headers=PROTOBUF):
        return self.request("POST", TRACES_PATH, body, headers)

    def send_push(self, body, headers=PROTOBUF):
        return self.request("POST", PUSH_PATH, body, headers)

    def add(self, *spans, service="shop"):
        """Store spans."""
        assert self.send_traces(export(*spans, service=service))[0] == 200

    def add_memory(self, *samples, **options):
        """Store memory samples."""
        assert self.send_push(memory_push(samples, **options))[0] == 200

    def add_samples(self, *samples, **options):
        """Store samples."""
        assert self.send_push(push(samples, **options))[0] == 200
