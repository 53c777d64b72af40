"""A fake Pyroscope server with the endpoints that the doctor calls.

It follows the public API: `push.v1.PusherService/Push` with protobuf, and three methods of
`querier.v1.QuerierService` with Connect's JSON, where an int64 is a string and zero or empty
fields are omitted. Sample labels other than `span_id` (and `trace_id` from 2.1 on) become
labels of the series.
"""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pyroscope_otel.pprof.pushes import decode_push

PUSH = "/push.v1.PusherService/Push"
QUERIER = "/querier.v1.QuerierService/"
CPU_TYPE = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"


class PyroscopeServer:
    """Stores pushed samples and answers queries.

    Attributes:
        version: The version in its build info; None for no build info.
        separates_trace_id: Whether `trace_id` is no label of the series.
        authorization: The required header.
        may_read: Whether the credentials permit queries.
        tenant: The required tenant.
        drops_span_id: Whether something on the way removes that label.
        keeps: Called with the labels of a series; whether it is stored.
        shows: Called at each query; whether stored samples are visible yet.
    """

    def __init__(self) -> None:
        self.version = "2.2.1"
        self.separates_trace_id = True
        self.authorization = None
        self.may_read = True
        self.tenant = None
        self.drops_span_id = False
        self.keeps = lambda labels: True  # noqa: ARG005  tests replace it
        self.shows = lambda: True
        self.stored = []
        """For each sample: the labels of the series, the span id, and the value."""
        self.requests = []
        """For each request: its path and headers."""

    def answer(self, method, path, headers, body):
        """Return the status and content of the response to a request."""
        self.requests.append((path, dict(headers)))
        refusal = self._refusal(path, headers)
        if refusal is not None:
            return refusal
        if (method, path) == ("POST", PUSH):
            return self._push(body)
        if (method, path) == ("GET", "/api/v1/status/buildinfo") and self.version:
            return 200, {"status": "success", "data": {"version": self.version}}
        if method == "POST" and path.startswith(QUERIER):
            query = json.loads(body)
            assert headers["Content-Type"] == "application/json"
            assert query["start"] < query["end"]
            return 200, getattr(self, path.removeprefix(QUERIER))(query)
        return 404, {"message": "page not found"}

    def _refusal(self, path, headers):
        if self.tenant is not None and headers.get("X-Scope-OrgID") != self.tenant:
            return 401, {"code": "unauthenticated", "message": "no org id"}
        if self.authorization is not None and headers.get("Authorization") != self.authorization:
            return 401, {"status": "error", "error": "authentication error: invalid token"}
        if not self.may_read and path != PUSH:
            return 403, {"code": "permission_denied", "message": "missing scope profiles:read"}
        return None

    def _push(self, body):
        for profile in decode_push(body, max_bytes=1 << 24):
            names = dict(profile.labels)
            kind = (names.pop("__name__"), profile.sample_type, profile.unit)
            assert kind == ("process_cpu", "cpu", "nanoseconds")
            assert names["service_name"]
            if not all(re.fullmatch(r"[a-zA-Z_][\w.]*", name) for name in names):
                return 400, {"code": "invalid_argument", "message": "invalid label name"}
            for sample in profile.samples:
                labels = dict(sample.labels)
                span_id = labels.pop("span_id", None)
                if self.separates_trace_id:
                    labels.pop("trace_id", None)
                if self.keeps(names):
                    self.stored.append(
                        (names | labels, None if self.drops_span_id else span_id, sample.value)
                    )
        return 200, {}

    def SelectMergeSpanProfile(self, query):  # noqa: N802  the name in the API
        spans = query["spanSelector"]
        assert all(re.fullmatch("[0-9a-f]{16}", span) for span in spans)
        return self._graph(query, lambda span_id: span_id in spans)

    def SelectMergeStacktraces(self, query):  # noqa: N802  same
        return self._graph(query, lambda _: True)

    def LabelValues(self, query):  # noqa: N802  same
        stored = self._of(*query["matchers"])
        values = {labels[query["name"]] for labels, _, _ in stored if query["name"] in labels}
        return {"names": sorted(values)} if values else {}

    def _graph(self, query, is_wanted):
        assert query["profileTypeID"] == CPU_TYPE
        values = [
            value for _, span_id, value in self._of(query["labelSelector"]) if is_wanted(span_id)
        ]
        if not values:
            return {"flamegraph": {"names": ["total"], "levels": [{"values": ["0", "0"]}]}}
        return {"flamegraph": {"names": ["total"], "total": str(sum(values))}}

    def _of(self, selector=None):
        if not self.shows():
            return []
        if selector is None:
            return self.stored
        service, but = re.fullmatch(
            r'\{service_name="([^"]+)"(?:,doctor!="(\w+)")?\}', selector
        ).groups()
        return [
            one
            for one in self.stored
            if one[0]["service_name"] == service and not (but and one[0].get("doctor") == but)
        ]


@contextmanager
def serving(answer):
    """Serve over HTTP on a free port; yield the address.

    `answer(method, path, headers, body)` returns the status (or a tuple of status and reason),
    the content (sent as JSON unless it is bytes or text), and optionally headers.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("Content-Length", 0))
            status, content, *headers = answer(
                self.command, self.path, self.headers, self.rfile.read(length)
            )
            if isinstance(content, str):
                content = content.encode()
            if not isinstance(content, bytes):
                content = json.dumps(content).encode()
            self.send_response(*(status if isinstance(status, tuple) else (status,)))
            for name, value in dict(*headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815  the name in the base class

        def log_message(self, *_):
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
