"""The protobuf messages of a push and of a trace export, as far as they are read.

Field names and numbers follow public schemas: `push.v1` and `types.v1` of
Grafana Pyroscope (the push request), `profile.proto` of google/pprof (the
profile inside), `status.proto` of google/rpc, and OTLP's `trace_service.proto`
(the layers around the spans; what is in them stays bytes, to be parsed one by
one). The classes are built here from a table rather than generated, so there is
no generated code to keep in step with the protobuf runtime. Unlisted fields are
skipped when a message is parsed.
"""

from __future__ import annotations

from typing import Any

from pyroscope_otel.installing import pip_install

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.protobuf.message import DecodeError
except ImportError as error:
    raise ImportError(
        "pyroscope_otel.receiver reads profiles with the package 'protobuf', which is not "
        f"installed. Install it with: {pip_install('receiver')}"
    ) from error

__all__ = (
    "DecodeError",
    "PprofProfile",
    "PushRequest",
    "PushResponse",
    "ResourceSpans",
    "RpcStatus",
    "ScopeSpans",
    "TracesRequest",
)

# Package and message names are not on the wire. Ours live in a package and a
# pool of their own, so they never collide with another library's copy.
_PACKAGE = "pyroscope_otel.receiver"

_MESSAGES: dict[str, tuple[str, ...]] = {
    "PushRequest": ("repeated RawProfileSeries series = 1",),
    "PushResponse": (),
    "RawProfileSeries": ("repeated LabelPair labels = 1", "repeated RawSample samples = 2"),
    "LabelPair": ("string name = 1", "string value = 2"),
    "RawSample": ("bytes raw_profile = 1",),
    "PprofProfile": (
        "repeated ValueType sample_type = 1",
        "repeated Sample sample = 2",
        "repeated Location location = 4",
        "repeated Function function = 5",
        "repeated string string_table = 6",
        "int64 time_nanos = 9",
        "int64 duration_nanos = 10",
        "int64 period = 12",
    ),
    "ValueType": ("int64 type = 1", "int64 unit = 2"),
    "Sample": (
        "repeated uint64 location_id = 1",
        "repeated int64 value = 2",
        "repeated Label label = 3",
    ),
    "Label": ("int64 key = 1", "int64 str = 2", "int64 num = 3"),
    "Location": ("uint64 id = 1", "repeated Line line = 4"),
    "Line": ("uint64 function_id = 1", "int64 line = 2"),
    "Function": ("uint64 id = 1", "int64 name = 2", "int64 filename = 4"),
    "TracesRequest": ("repeated bytes resource_spans = 1",),
    "ResourceSpans": ("bytes resource = 1", "repeated bytes scope_spans = 2"),
    "ScopeSpans": ("repeated bytes spans = 2",),
    "RpcStatus": ("int64 code = 1", "string message = 2"),
}

_Field = descriptor_pb2.FieldDescriptorProto

_SCALARS = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "int64": _Field.TYPE_INT64,
    "uint64": _Field.TYPE_UINT64,
}


def _add_field(message: descriptor_pb2.DescriptorProto, declaration: str) -> None:
    """Add one field, declared as in a .proto file: `[repeated] type name = number`."""
    *repeated, kind, name, _, number = declaration.split()
    field = message.field.add(name=name, number=int(number))
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"


def _build_pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="pyroscope_otel/receiver.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, declarations in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for declaration in declarations:
            _add_field(message, declaration)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


_pool = _build_pool()


def _message_class(name: str) -> Any:
    # Any: the fields exist at run time only. What leaves this package is typed
    # in profiles.py.
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


PushRequest = _message_class("PushRequest")
PushResponse = _message_class("PushResponse")
PprofProfile = _message_class("PprofProfile")
RpcStatus = _message_class("RpcStatus")
TracesRequest = _message_class("TracesRequest")
ResourceSpans = _message_class("ResourceSpans")
ScopeSpans = _message_class("ScopeSpans")
