"""The protobuf messages of a push and a trace export, as far as we read them.

Field names and numbers follow public schemas: `push.v1` and `types.v1` of Grafana Pyroscope
(the push request), `profile.proto` of google/pprof (the profile), `status.proto` of google/rpc,
and OTLP's `trace_service.proto` (the layers around spans; spans stay bytes and are parsed one
by one). The classes are built from a table instead of generated, so no generated code has to
match the protobuf runtime. A parsed message keeps unlisted fields and serializes them again.
"""

from __future__ import annotations

from typing import Any

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.protobuf.message import DecodeError
except ImportError as error:
    raise ImportError(
        "pyroscope_otel reads profiles with the package 'protobuf', which is not installed. "
        "Install it with: pip install protobuf"
    ) from error

__all__ = (
    "DecodeError",
    "Line",
    "Location",
    "PprofProfile",
    "PprofRows",
    "PushRequest",
    "PushResponse",
    "ResourceSpans",
    "RpcStatus",
    "Sample",
    "ScopeSpans",
    "TracesRequest",
)

# Package and message names are not on the wire. Ours live in their own package and pool, so
# they never collide with another library's copy.
_PACKAGE = "pyroscope_otel.pprof"

_PPROF = (
    "repeated ValueType sample_type = 1",
    "repeated Sample sample = 2",
    "repeated Mapping mapping = 3",
    "repeated Location location = 4",
    "repeated Function function = 5",
    "repeated string string_table = 6",
    "int64 drop_frames = 7",
    "int64 keep_frames = 8",
    "int64 time_nanos = 9",
    "int64 duration_nanos = 10",
    "ValueType period_type = 11",
    "int64 period = 12",
    "repeated int64 comment = 13",
    "int64 default_sample_type = 14",
)

_MESSAGES: dict[str, tuple[str, ...]] = {
    "PushRequest": ("repeated RawProfileSeries series = 1",),
    "PushResponse": (),
    "RawProfileSeries": ("repeated LabelPair labels = 1", "repeated RawSample samples = 2"),
    "LabelPair": ("string name = 1", "string value = 2"),
    "RawSample": ("bytes raw_profile = 1",),
    "PprofProfile": _PPROF,
    # The same with unparsed locations: there are many, and few are needed.
    "PprofRows": tuple(
        "repeated bytes location = 4" if declaration.endswith("location = 4") else declaration
        for declaration in _PPROF
    ),
    "ValueType": ("int64 type = 1", "int64 unit = 2"),
    "Sample": (
        "repeated uint64 location_id = 1",
        "repeated int64 value = 2",
        "repeated Label label = 3",
    ),
    "Label": ("int64 key = 1", "int64 str = 2", "int64 num = 3", "int64 num_unit = 4"),
    "Mapping": ("int64 filename = 5", "int64 build_id = 6"),
    "Location": (
        "uint64 id = 1",
        "uint64 mapping_id = 2",
        "uint64 address = 3",
        "repeated Line line = 4",
    ),
    "Line": ("uint64 function_id = 1", "int64 line = 2"),
    "Function": (
        "uint64 id = 1",
        "int64 name = 2",
        "int64 system_name = 3",
        "int64 filename = 4",
        "int64 start_line = 5",
    ),
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
        name="pyroscope_otel/pprof.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, declarations in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for declaration in declarations:
            _add_field(message, declaration)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


_pool = _build_pool()


_classes: dict[str, Any] = {
    # All classes, permanently: protobuf recreates an unreferenced class whenever it meets such
    # a message, and the old class becomes cyclic garbage.
    name: message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
    for name in _MESSAGES
}

# Any: the fields exist only at run time. profiles.py has typed results.
PushRequest = _classes["PushRequest"]
PushResponse = _classes["PushResponse"]
PprofProfile = _classes["PprofProfile"]
PprofRows = _classes["PprofRows"]
Sample = _classes["Sample"]
Location = _classes["Location"]
Line = _classes["Line"]
RpcStatus = _classes["RpcStatus"]
TracesRequest = _classes["TracesRequest"]
ResourceSpans = _classes["ResourceSpans"]
ScopeSpans = _classes["ScopeSpans"]
