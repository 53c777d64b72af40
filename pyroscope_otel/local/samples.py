"""What a push says, as rows of the store: CPU time per profile and stack."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyroscope_otel.local.traces import profile_key, text
from pyroscope_otel.receiver import Frame, MalformedPush, decode_push

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("ProfileRow", "PushRows", "decode_samples", "pack_stack", "unpack_stack")

_CPU = ("cpu", "nanoseconds")
_MOST_FRAMES = 1024
_MOST_NAME = 1024  # characters of a service, a function or a file
_LARGEST_VALUE = 2**53  # so that sums are exact in a browser too
_CUT = Frame(function="(further callers left out)", file="", line=0)


@dataclass
class ProfileRow:
    """A push's samples of one profile id: nanoseconds and samples by stack."""

    service: str
    name: str
    stacks: dict[tuple[Frame, ...], list[int]] = field(default_factory=dict)


@dataclass
class PushRows:
    """What a push brings: profiles by their key, and samples that belong to none by service."""

    profiles: dict[int, ProfileRow] = field(default_factory=dict)
    without_request: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def decode_samples(body: bytes, *, max_bytes: int, gzipped: bool) -> PushRows:
    """Decode the body of an agent's push; see `pyroscope_otel.receiver.decode_push`.

    Profiles of other types than CPU (memory) are taken and left aside.

    Raises:
        PushTooLarge: The push expands to more than `max_bytes`.
        MalformedPush: The push is no push, or a measurement is out of range.
    """
    rows = PushRows()
    for profile in decode_push(body, max_bytes=max_bytes, gzipped=gzipped):
        if (profile.sample_type, profile.unit) != _CPU:
            continue
        service = text(profile.labels.get("service_name", ""), _MOST_NAME) or "unknown_service"
        rows.without_request[service] += 0  # the service is known from now on
        for sample in profile.samples:
            if not 0 <= sample.value <= _LARGEST_VALUE:
                raise MalformedPush(f"a sample has {sample.value} nanoseconds")
            count = max(1, sample.value // profile.period) if profile.period > 0 else 1
            key = profile_key(sample.label("span_id"))
            if key is None:
                rows.without_request[service] += count
                continue
            row = rows.profiles.get(key)
            if row is None:
                name = text(sample.label("span_name") or "", _MOST_NAME)
                row = rows.profiles[key] = ProfileRow(service, name)
            sums = row.stacks.setdefault(sample.stack, [0, 0])
            sums[0] += sample.value
            sums[1] += count
    return rows


def pack_stack(stack: tuple[Frame, ...]) -> tuple[bytes, bytes]:
    """Return a stack's digest and its packed frames, root first."""
    frames: Iterable[Frame] = reversed(stack)
    if len(stack) > _MOST_FRAMES:
        frames = (_CUT, *reversed(stack[: _MOST_FRAMES - 1]))
    packed = json.dumps(
        [(text(f.function, _MOST_NAME), text(f.file, _MOST_NAME), f.line) for f in frames]
    ).encode()
    return hashlib.blake2b(packed, digest_size=16).digest(), zlib.compress(packed, 1)


def unpack_stack(packed: bytes) -> list[tuple[str, str, int]]:
    """Return the frames of a stack as (function, file, line), root first."""
    return [tuple(frame) for frame in json.loads(zlib.decompress(packed))]
