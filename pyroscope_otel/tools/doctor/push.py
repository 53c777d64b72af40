"""Encodes the smallest push that a server accepts: one profile with one sample.

The encoding is written by hand so that the doctor does not need protobuf, and can examine an
application with only the core installed. The field numbers come from `push.v1` and
`types.v1` of Grafana Pyroscope and from `profile.proto` of google/pprof. The labels and the
sample type are those that the agent sends.
"""

from __future__ import annotations

import gzip
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PUSH_PATH = "/push.v1.PusherService/Push"
PUSH_HEADERS = {"Content-Type": "application/proto", "Content-Encoding": "gzip"}

_PERIOD_NANOSECONDS = 10_000_000


def push_body(labels: Mapping[str, str], sample_labels: Mapping[str, str]) -> bytes:
    """Return the body of a push with one sample of 10 ms of CPU time, taken now.

    Args:
        labels: The labels of the series, such as `service_name`.
        sample_labels: The labels of the sample, such as `span_id`.
    """
    pairs = {"__name__": "process_cpu", **labels}
    series = b"".join(
        _message(1, _text(1, name) + _text(2, value)) for name, value in pairs.items()
    )
    series += _message(2, _message(1, _pprof(sample_labels)))
    return gzip.compress(_message(1, series))


def _pprof(labels: Mapping[str, str]) -> bytes:
    strings = ["", "cpu", "nanoseconds", "pyroscope-otel doctor", "doctor"]
    sample = _number(1, 1) + _number(2, _PERIOD_NANOSECONDS)
    for name, value in labels.items():
        strings += [name, value]
        sample += _message(3, _number(1, len(strings) - 2) + _number(2, len(strings) - 1))
    value_type = _number(1, 1) + _number(2, 2)
    return b"".join(
        (
            _message(1, value_type),
            _message(2, sample),
            _message(4, _number(1, 1) + _message(4, _number(1, 1) + _number(2, 1))),
            _message(5, _number(1, 1) + _number(2, 3) + _number(4, 4)),
            *(_text(6, string) for string in strings),
            _number(9, time.time_ns()),
            _number(10, _PERIOD_NANOSECONDS),
            _message(11, value_type),
            _number(12, _PERIOD_NANOSECONDS),
        )
    )


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004  seven bits a byte
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())
