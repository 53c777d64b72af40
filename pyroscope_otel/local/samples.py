"""What a push says, as rows of the store: CPU time per profile and stack."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from pyroscope_otel.findings.names import UNKNOWN_SERVICE
from pyroscope_otel.local.text import profile_key, shortened
from pyroscope_otel.receiver import Frame, MalformedPush, decode_push

__all__ = ("LARGEST_VALUE", "ProfileRow", "PushRows", "decode_samples")

_CPU = ("cpu", "nanoseconds")
_MOST_FRAMES = 1024
LARGEST_VALUE = 2**53  # so that sums are exact in a browser too
_CUT = Frame(function="(further callers left out)", file="", line=0)


@dataclass
class ProfileRow:
    """A push's samples of one profile id: (frames root first, nanoseconds, samples)."""

    service: str
    name: str
    stacks: list[tuple[tuple[Frame, ...], int, int]] = field(default_factory=list)


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
    total = 0
    for profile in decode_push(body, max_bytes=max_bytes, gzipped=gzipped):
        if (profile.sample_type, profile.unit) != _CPU:
            continue
        service = shortened(profile.labels.get("service_name", "")) or UNKNOWN_SERVICE
        rows.without_request[service] += 0  # the service is known from now on
        for sample in profile.samples:
            if not 0 <= sample.value <= LARGEST_VALUE:
                raise MalformedPush(f"a sample has {sample.value} nanoseconds")
            total += sample.value
            if total > LARGEST_VALUE:
                raise MalformedPush(
                    f"the samples have more than {LARGEST_VALUE} nanoseconds in all"
                )
            count = max(1, sample.value // profile.period) if profile.period > 0 else 1
            key = profile_key(sample.label("span_id"))
            if key is None:
                rows.without_request[service] += count
                continue
            row = rows.profiles.get(key)
            if row is None:
                name = shortened(sample.label("span_name") or "")
                row = rows.profiles[key] = ProfileRow(service, name)
            row.stacks.append((_root_first(sample.stack), sample.value, count))
    return rows


def _root_first(stack: tuple[Frame, ...]) -> tuple[Frame, ...]:
    if len(stack) > _MOST_FRAMES:
        stack = (*stack[: _MOST_FRAMES - 1], _CUT)
    return stack[::-1]
