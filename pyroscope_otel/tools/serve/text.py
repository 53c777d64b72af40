"""Prepares untrusted text for the store and the page."""

from __future__ import annotations

from pyroscope_otel.tools.serve.schema import to_key

__all__ = ("profile_key", "shortened")

_MAX_CHARACTERS = 1024
_ID_BYTES = 8


def shortened(text: str, most: int = _MAX_CHARACTERS) -> str:
    """Return a text cut to `most` characters. Protobuf guarantees valid Unicode."""
    return text if len(text) <= most else text[: most - 1] + "…"


def profile_key(value: object) -> int | None:
    """Return a profile id (16 hex digits) as the store's key, or None if it is invalid."""
    if not isinstance(value, str) or len(value) != 2 * _ID_BYTES:
        return None
    try:
        raw = bytes.fromhex(value)
    except ValueError:
        return None
    # fromhex ignores spaces.
    return to_key(raw) if len(raw) == _ID_BYTES else None
