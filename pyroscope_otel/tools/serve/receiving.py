"""Receives pushes from agents and OTLP trace exports."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.responses import Response

from pyroscope_otel.pprof.messages import RpcStatus
from pyroscope_otel.pprof.pushes import MalformedPush, PushTooLarge
from pyroscope_otel.tools.serve.ingest import NotStored
from pyroscope_otel.tools.serve.refusal import Refused
from pyroscope_otel.tools.serve.samples import decode_samples
from pyroscope_otel.tools.serve.traces import MalformedTraces, Traces, TracesTooLarge, decode_traces

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from pyroscope_otel.tools.serve.bodies import Bodies
    from pyroscope_otel.tools.serve.ingest import Ingest
    from pyroscope_otel.tools.serve.samples import PushRows
    from pyroscope_otel.tools.serve.store import Store

__all__ = ("PUSH_PATH", "TRACES_PATH", "Receiving")

PUSH_PATH = "/push.v1.PusherService/Push"
TRACES_PATH = "/v1/traces"

_Rows = TypeVar("_Rows")

_PROTOBUF = "application/x-protobuf"
_JSON = "application/json"
_PUSH_TYPES = ("application/proto", _PROTOBUF)

# gRPC status codes, which OTLP uses to describe errors.
_INVALID_ARGUMENT = 3
_UNAVAILABLE = 14


class Receiving:
    """Receives bodies, and answers once their data is stored.

    Args:
        store: The store to add to.
        ingest: The thread that writes to it.
        bodies: Reads bodies within limits.
        max_bytes: The maximum size of a decompressed body.
    """

    def __init__(self, store: Store, ingest: Ingest, bodies: Bodies, *, max_bytes: int) -> None:
        self._store = store
        self._ingest = ingest
        self._bodies = bodies
        self._max_bytes = max_bytes

    async def push(self, request: Request) -> Response:
        """Receive an agent's push."""
        content_type = _content_type(request, _PUSH_TYPES)
        decode = partial(decode_samples, max_bytes=self._max_bytes, gzipped=_is_gzipped(request))

        def answer(_push: PushRows) -> Response:
            return Response(b"", media_type=content_type)  # an empty message: push.v1.PushResponse

        return await self._stored(request, decode, self._store.add_samples, answer)

    async def traces(self, request: Request) -> Response:
        """Receive an OTLP trace export, and answer in its encoding."""
        as_json = _media_type(request) == _JSON
        try:
            _content_type(request, (_PROTOBUF, _JSON))
            decode = partial(
                decode_traces,
                max_bytes=self._max_bytes,
                gzipped=_is_gzipped(request),
                as_json=as_json,
            )
            answer = partial(_otlp_answer, as_json=as_json)
            return await self._stored(request, decode, self._store.add_traces, answer)
        except Refused as refused:
            return _otlp_refusal(refused, as_json=as_json)

    async def _stored(
        self,
        request: Request,
        decode: Callable[[bytes], _Rows],
        add: Callable[[_Rows], object],
        answer: Callable[[_Rows], Response],
    ) -> Response:
        """Read, decode and store a body, and return the response once the data is committed."""
        async with self._bodies.read(request) as body:
            try:
                result: Response | Refused = await self._ingest.run(
                    partial(_decode_and_add, body, decode, add, answer)
                )
            except NotStored as error:
                raise Refused(503, str(error)) from error
        if isinstance(result, Refused):
            raise result
        return result


def _decode_and_add(
    body: bytes,
    decode: Callable[[bytes], _Rows],
    add: Callable[[_Rows], object],
    answer: Callable[[_Rows], Response],
) -> Response | Refused:
    # Return a refusal instead of raising it. A traceback would keep the decoded body alive
    # while the next one is decoded.
    try:
        rows = decode(body)
    except (PushTooLarge, TracesTooLarge) as error:
        return Refused(413, str(error))
    except (MalformedPush, MalformedTraces) as error:
        return Refused(400, str(error))
    add(rows)
    return answer(rows)  # not the rows, which would stay in memory until the commit


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _content_type(request: Request, known: tuple[str, ...]) -> str:
    content_type = _media_type(request)
    if content_type not in known:
        raise Refused(415, f"Content-Type must be {' or '.join(known)}")
    return content_type


def _is_gzipped(request: Request) -> bool:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("gzip", "identity"):
        raise Refused(415, "Content-Encoding must be gzip or identity")
    return encoding == "gzip"


def _otlp_answer(traces: Traces, *, as_json: bool) -> Response:
    if as_json:
        rejected = {"rejectedSpans": str(traces.rejected), "errorMessage": traces.reason}
        answer = {"partialSuccess": rejected} if traces.rejected else {}
        return Response(json.dumps(answer), media_type=_JSON)
    message = ExportTraceServiceResponse()
    if traces.rejected:
        message.partial_success.rejected_spans = traces.rejected
        message.partial_success.error_message = traces.reason
    return Response(message.SerializeToString(), media_type=_PROTOBUF)


def _otlp_refusal(refused: Refused, *, as_json: bool) -> Response:
    code = _UNAVAILABLE if refused.status == 503 else _INVALID_ARGUMENT  # noqa: PLR2004 -- HTTP's
    if as_json:
        content: Any = json.dumps({"code": code, "message": refused.reason})
        media_type = _JSON
    else:
        content = RpcStatus(code=code, message=refused.reason).SerializeToString()
        media_type = _PROTOBUF
    return Response(content, refused.status, refused.headers, media_type=media_type)
