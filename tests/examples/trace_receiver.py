"""Receives the spans that an OTLP exporter sends over HTTP."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Span:
    """An exported span, with ids in hexadecimal and only string attributes."""

    name: str
    span_id: str
    trace_id: str
    attributes: dict[str, str]
    resource: dict[str, str]

    @property
    def profile_id(self):
        return self.attributes.get("pyroscope.profile.id")


class TraceReceiver:
    """Collects spans inside its `with` block. `url` is its OTLP endpoint."""

    def __init__(self):
        self.spans: list[Span] = []

    def __enter__(self):
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.spans = self.spans
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/v1/traces":  # the path of an exporter of metrics or logs
            self.send_error(404)
            return
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.spans += _decode(body)
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def _decode(body):
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Span(
            name=span.name,
            span_id=span.span_id.hex(),
            trace_id=span.trace_id.hex(),
            attributes=_texts(span.attributes),
            resource=_texts(of_resource.resource.attributes),
        )
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def _texts(attributes):
    return {one.key: one.value.string_value for one in attributes}
