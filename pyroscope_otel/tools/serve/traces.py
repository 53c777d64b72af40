"""Converts an OTLP trace export to rows of the store.

Both protobuf and JSON are parsed to OpenTelemetry's generated `Span`. The outer messages are
parsed with their contents as bytes, so that only one span is decoded at a time: a message of
two bytes can take 160 bytes of memory.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from pyroscope_otel.pprof.inflating import MalformedGzip, TooLarge, inflate
from pyroscope_otel.pprof.messages import (
    DecodeError,
    ResourceSpans,
    ScopeSpans,
    TracesRequest,
)
from pyroscope_otel.setup.findings.names import (
    DOCTOR_ATTRIBUTE,
    DOCTOR_SERVICE,
    HELD_ATTRIBUTE,
    UNKNOWN_SERVICE,
)
from pyroscope_otel.tools.serve.schema import to_key
from pyroscope_otel.tools.serve.text import profile_key, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

_Message = TypeVar("_Message", bound=Message)

__all__ = ("MalformedTraces", "SpanRow", "Traces", "TracesTooLarge", "decode_traces")


class MalformedTraces(ValueError):  # noqa: N818 -- reads better where it is raised and caught
    """The body is not an OTLP trace export."""


class TracesTooLarge(MalformedTraces):
    """The export is larger than the server accepts."""


class SpanRow(NamedTuple):
    """A row of the table `spans`, and what the table `requests` has besides.

    Attributes:
        held: The profile id of the request that was held until this span's end. Such a span is
            not a row: it only tells that time.
    """

    trace_id: bytes
    span_id: int
    parent_span_id: int | None
    name: str
    kind: str
    service: str
    start_ns: int
    duration_ns: int
    error: bool
    detail: str
    profile_id: int | None
    http_status: int | None
    target: str | None
    held: int | None


class Traces(NamedTuple):
    """The spans of an export.

    Attributes:
        spans: The spans to store.
        rejected: The number of rejected spans.
        reason: The reason for the last rejection.
        of_doctor: Whether all spans come from the doctor or its requests. Those are not
            stored.
    """

    spans: list[SpanRow]
    rejected: int
    reason: str
    of_doctor: bool = False


_MAX_SPANS = 20_000
_MAX_SPAN_BYTES = 1024 * 1024
_MAX_JSON_BYTES = 4 * 1024 * 1024  # parsed JSON can take thirty times as much memory
_MAX_VALUE = 16 * 1024  # characters of an attribute's text
_LARGEST_TIME = 2**63 - 1
_KINDS = {
    Span.SPAN_KIND_SERVER: "server",
    Span.SPAN_KIND_CLIENT: "client",
    Span.SPAN_KIND_PRODUCER: "producer",
    Span.SPAN_KIND_CONSUMER: "consumer",
}
_PROFILE_ID = "pyroscope.profile.id"
_HTTP_STATUS = ("http.response.status_code", "http.status_code")
_URLS = ("url.full", "http.url")


def decode_traces(body: bytes, *, max_bytes: int, gzipped: bool, as_json: bool) -> Traces:
    """Decode the body of an OTLP/HTTP trace export.

    Args:
        body: An `ExportTraceServiceRequest`, in protobuf or in OTLP's JSON.
        max_bytes: The maximum size of the decompressed body.
        gzipped: Whether the body is gzipped.
        as_json: Whether the body is JSON.

    Raises:
        TracesTooLarge: The export is larger than the server accepts.
        MalformedTraces: The body is not valid gzip, protobuf or JSON, or not an export.
    """
    if gzipped:
        try:
            body = inflate(body, max_bytes)
        except TooLarge as error:
            raise TracesTooLarge(f"the body {error}") from None
        except MalformedGzip as error:
            raise MalformedTraces(f"the body {error}") from error
    found: Iterable[tuple[str | None, Callable[[], Span]]]
    found = _found_in_json(body) if as_json else _found_in_protobuf(body)
    spans: list[SpanRow] = []
    rejected, reason, of_doctor = 0, "", False
    for count, (service, parse) in enumerate(found, 1):
        if count > _MAX_SPANS:
            raise TracesTooLarge(f"the body has more than {_MAX_SPANS} spans")
        if service is None:
            of_doctor = True
            continue
        try:
            spans.append(_row(service, parse()))
        except _Rejected as error:
            rejected, reason = rejected + 1, str(error)
    return Traces(spans, rejected, reason, of_doctor and not spans)


class _Rejected(ValueError):  # noqa: N818 -- the rest of the export is stored
    """A span cannot be stored."""


def _found_in_protobuf(body: bytes) -> Iterator[tuple[str | None, Callable[[], Span]]]:
    """Yield each span, to be parsed when called, with the name of its service."""
    for raw_resource_spans in _checked_count(_parse(TracesRequest, body).resource_spans):
        resource_spans = _parse(ResourceSpans, raw_resource_spans)
        service = _service(_parse(Resource, resource_spans.resource))
        for raw_scope_spans in _checked_count(resource_spans.scope_spans):
            for raw in _parse(ScopeSpans, raw_scope_spans).spans:
                yield service, partial(_parse_protobuf, raw)


def _checked_count(messages: Any) -> Any:
    if len(messages) > _MAX_SPANS:
        raise TracesTooLarge(f"the body has more than {_MAX_SPANS} parts")
    return messages


def _parse(message_class: Callable[[], _Message], raw: bytes) -> _Message:
    message = message_class()
    try:
        message.ParseFromString(raw)
    except (DecodeError, UnicodeDecodeError) as error:
        raise MalformedTraces("the body is not an ExportTraceServiceRequest") from error
    return message


def _parse_protobuf(raw: bytes) -> Span:
    if len(raw) > _MAX_SPAN_BYTES:
        raise _Rejected(f"a span is larger than {_MAX_SPAN_BYTES} bytes")
    return _parse(Span, raw)


def _found_in_json(body: bytes) -> Iterator[tuple[str | None, Callable[[], Span]]]:
    """Yield each span, to be parsed when called, with the name of its service."""
    if len(body) > _MAX_JSON_BYTES:
        raise TracesTooLarge(f"the body is larger than {_MAX_JSON_BYTES} bytes of JSON")
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedTraces("the body is not JSON") from error
    if not isinstance(request, dict):
        raise MalformedTraces("the body is not an ExportTraceServiceRequest in JSON")
    for resource_spans in _objects(request, "resourceSpans"):
        resource = resource_spans.get("resource")
        service = _service(_from_json(Resource(), {} if resource is None else resource))
        for scope_spans in _objects(resource_spans, "scopeSpans"):
            for span in _objects(scope_spans, "spans"):
                yield service, partial(_parse_json, span)


def _objects(parent: dict[str, Any], name: str) -> Iterable[dict[str, Any]]:
    children = parent.get(name)
    if children is None:
        return ()
    if not isinstance(children, list) or not all(isinstance(child, dict) for child in children):
        raise MalformedTraces(f"{name} is not an array of objects")
    return children


def _parse_json(raw: dict[str, Any]) -> Span:
    # OTLP's JSON encodes these ids in hex, unlike protobuf's JSON mapping (base64). Links are
    # not stored, so their ids do not matter.
    ids = {
        name: _base64_of_hex(name, value)
        for name in ("traceId", "spanId", "parentSpanId")
        if (value := raw.get(name)) is not None
    }
    kept = {name: value for name, value in raw.items() if name != "links"}
    return _from_json(Span(), {**kept, **ids})


def _base64_of_hex(name: str, value: Any) -> str:
    try:
        return base64.b64encode(binascii.unhexlify(value)).decode()
    except (TypeError, ValueError) as error:
        raise _Rejected(f"{name} is not hex digits") from error


def _from_json(message: _Message, value: Any) -> _Message:
    try:
        return json_format.ParseDict(value, message, ignore_unknown_fields=True)
    except (json_format.ParseError, TypeError, AttributeError, ValueError) as error:
        # ParseDict raises the other three if a value has the wrong type.
        raise MalformedTraces("the body is not an ExportTraceServiceRequest in JSON") from error


def _service(resource: Any) -> str | None:
    """Return the name of the service, or None for the doctor."""
    name = ""
    for attribute in resource.attributes:
        if attribute.key == "service.name":
            name = name or attribute.value.string_value
        elif attribute.key == DOCTOR_ATTRIBUTE:
            return None
    return None if name == DOCTOR_SERVICE else shortened(name) or UNKNOWN_SERVICE


def _row(service: str, span: Span) -> SpanRow:
    if len(span.trace_id) != 16 or not any(span.trace_id):  # noqa: PLR2004 -- by specification
        raise _Rejected("a trace id is not 16 bytes, or all zero")
    if len(span.span_id) != 8 or not any(span.span_id):  # noqa: PLR2004 -- by specification
        raise _Rejected("a span id is not 8 bytes, or all zero")
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    if max(start, end) > _LARGEST_TIME:
        raise _Rejected("a span's time is after the year 2262")
    attributes = _attributes(span.attributes)
    return SpanRow(
        trace_id=span.trace_id,
        span_id=to_key(span.span_id),
        parent_span_id=_parent(span.parent_span_id),
        name=shortened(span.name),
        kind=_KINDS.get(span.kind, "internal"),
        service=service,
        start_ns=start,
        duration_ns=max(0, end - start),
        error=span.status.code == Status.STATUS_CODE_ERROR,
        detail=_detail(span, attributes),
        profile_id=profile_key(attributes.get(_PROFILE_ID)),
        http_status=_http_status(attributes),
        target=_target(attributes),
        held=profile_key(attributes.get(HELD_ATTRIBUTE)),
    )


def _parent(raw: bytes) -> int | None:
    return to_key(raw) if len(raw) == 8 and any(raw) else None  # noqa: PLR2004 -- by specification


def _detail(span: Span, attributes: dict[str, Any]) -> str:
    events = [
        {
            "name": shortened(event.name),
            "offset_ns": event.time_unix_nano - span.start_time_unix_nano,
            "attributes": _attributes(event.attributes),
        }
        for event in span.events
    ]
    return json.dumps(
        {
            "status_message": shortened(span.status.message, _MAX_VALUE),
            "attributes": attributes,
            "events": events,
        },
        allow_nan=False,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {shortened(pair.key): _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    content = getattr(value, kind)
    plain = _PLAIN.get(kind)
    return content if plain is None else plain(content)


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "string_value": lambda content: shortened(content, _MAX_VALUE),
    # JSON has no infinity or NaN.
    "double_value": lambda content: content if math.isfinite(content) else str(content),
    "array_value": lambda content: [_value(item) for item in content.values],
    "kvlist_value": lambda content: _attributes(content.values),
    "bytes_value": lambda content: shortened(base64.b64encode(content).decode(), _MAX_VALUE),
}


def _http_status(attributes: dict[str, Any]) -> int | None:
    for name in _HTTP_STATUS:
        value = attributes.get(name)
        if isinstance(value, int) and 100 <= value <= 599:  # noqa: PLR2004 -- what HTTP has
            return value
    return None


def _target(attributes: dict[str, Any]) -> str | None:
    """Return the path and query of the URL, from the newer or the older attributes."""
    path, query = attributes.get("url.path"), attributes.get("url.query")
    if isinstance(path, str) and path:
        return shortened(f"{path}?{query}" if isinstance(query, str) and query else path)
    target = attributes.get("http.target")
    if isinstance(target, str) and target:
        return shortened(target)
    for name in _URLS:
        url = attributes.get(name)
        if isinstance(url, str) and "//" in url:
            _, slash, rest = url.partition("//")[2].partition("/")
            return shortened(slash + rest) or None
    return None
