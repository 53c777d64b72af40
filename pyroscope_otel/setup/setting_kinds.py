"""The types of settings: one `Kind` for each sort of value.

A kind checks a value, parses it from an environment variable, and describes what is allowed. It
does not know setting names or sources: `settings` composes the errors, and the documentation
uses the same descriptions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.trace import NoOpTracerProvider

from pyroscope_otel.link.profile import SPAN_LABELS
from pyroscope_otel.setup.sampler import SAMPLERS, name_of

_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0"})

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s)")
_MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000}

# RFC 9110: a field name is a token, a field value has no control characters.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True)
class Kind:
    """A sort of value.

    Attributes:
        allowed: What is allowed, worded to follow "must be".
        check: Returns the value to store. Raises ValueError for a wrong value.
        parse: Parses an environment variable's text. Raises ValueError for wrong text. The
            result goes through `check` as well.
        allowed_as_text: What is allowed in an environment variable, if its notation differs.
        show: Returns the value as errors and `repr` may show it.
    """

    allowed: str
    check: Callable[[Any], Any]
    parse: Callable[[str], Any] = str
    allowed_as_text: str = ""
    show: Callable[[Any], str] = repr


def _require(condition: object) -> None:
    # `settings._refusal` composes the message from the kind's description.
    if not condition:
        raise ValueError


def _text(value: Any) -> str:
    _require(isinstance(value, str))
    return str(value)


def _name(value: Any) -> str:
    name = _text(value).strip()
    _require(name)
    return name


def _header_value(value: Any) -> str:
    text = _text(value)
    _require(not _CONTROL_CHARACTER.search(text))
    return text


def _flag(value: Any) -> bool:
    _require(isinstance(value, bool))
    return bool(value)


def _flag_from_text(text: str) -> bool:
    word = text.lower()
    _require(word in _TRUE | _FALSE)
    return word in _TRUE


def _whole(least: int, most: int | None = None) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        # bool is a subclass of int, but sample_rate=True is a mistake.
        _require(isinstance(value, int) and not isinstance(value, bool))
        _require(value >= least and (most is None or value <= most))
        return int(value)

    return check


def _whole_from_text(text: str) -> int:
    _require(re.fullmatch(r"[0-9]+", text))
    return int(text)


def _microseconds(text: str) -> Decimal:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError
    return Decimal(found[1]) * _MICROSECONDS[found[2]]


def _rate_from_interval(text: str) -> int:
    interval = _microseconds(text)
    _require(1 <= interval <= _MICROSECONDS["s"])
    return round(_MICROSECONDS["s"] / interval)


def _seconds_from_duration(text: str) -> int:
    seconds = _microseconds(text) / _MICROSECONDS["s"]
    _require(seconds == int(seconds))
    return int(seconds)


def _address(value: Any) -> str:
    address = _text(value).strip()
    _require(not re.search(r"\s", address))
    parts = urlsplit(address)
    _require(parts.scheme in {"http", "https"} and parts.hostname)
    _ = parts.port  # raises ValueError for an invalid port
    # The agent appends "/push..." to the path: "/prefix/" would become "/prefix//push...".
    return address.rstrip("/")


def mask_address(value: object) -> str:
    """Return the `repr` of a server address without its user, password and query."""
    if isinstance(value, (bytes, bytearray)) or not isinstance(
        value, (str, int, float, type(None))
    ):
        # The object may contain the address, with a password in it.
        return _show_type(value)
    if not isinstance(value, str):
        return repr(value)
    # Not urlsplit, which may have failed on this value. Up to the last @ of the whole text,
    # because a password may contain a slash.
    masked = re.sub(r"^([a-zA-Z][a-zA-Z0-9+.-]*://)?.*@", r"\1***@", value, flags=re.DOTALL)
    return repr(re.sub(r"[?#].*", "?***", masked, flags=re.DOTALL))


def _texts(value: Any) -> dict[str, str]:
    _require(isinstance(value, Mapping))
    for key, text in value.items():
        _require(isinstance(key, str) and key and isinstance(text, str))
    return dict(value)


def _labels_from_text(text: str) -> dict[str, str]:
    labels = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        name, equals, value = pair.partition("=")
        _require(equals and name.strip())
        labels[name.strip()] = value.strip()
    return labels


def _headers(value: Any) -> dict[str, str]:
    headers = _texts(value)
    for name, text in headers.items():
        _require(_HEADER_NAME.fullmatch(name))
        _header_value(text)
    return headers


def _show_headers(value: Any) -> str:
    return repr(dict.fromkeys(value, "***")) if isinstance(value, dict) else HIDDEN.show(value)


def _span_labels(value: Any) -> tuple[str, ...]:
    _require(isinstance(value, (list, tuple)) and value)
    for label in value:
        _require(label in SPAN_LABELS)
    return tuple(dict.fromkeys(value))


def _names_from_text(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _sampler(value: Any) -> str:
    name = value.lower() if isinstance(value, str) else name_of(value)
    _require(name in SAMPLERS)
    return str(name)


def _tracer_provider(value: Any) -> Any:
    # Applications use a no-op provider to switch telemetry off.
    is_no_op = isinstance(value, NoOpTracerProvider)
    _require(is_no_op or callable(getattr(value, "add_span_processor", None)))
    return value


def _show_type(value: Any) -> str:
    return f"a {type(value).__module__}.{type(value).__qualname__}"


def choice(*words: str) -> Kind:
    """Return a kind that allows only the given words."""

    def check(value: Any) -> str:
        _require(isinstance(value, str) and value in words)
        return str(value)

    return Kind(allowed=" or ".join(map(repr, words)), check=check)


def whole(allowed: str, least: int, most: int | None = None) -> Kind:
    """Return a kind for whole numbers from `least` to `most`."""
    return Kind(allowed=allowed, check=_whole(least, most), parse=_whole_from_text)


def member(enumeration: Any, name: str, refused: tuple[str, ...] = (), reason: str = "") -> Kind:
    """Return a kind for the members of an enumeration in `pyroscope`.

    Args:
        enumeration: The enumeration class. None in releases of pyroscope-io that lack it: every
            value is refused then.
        name: The enumeration's name in `pyroscope`.
        refused: Names of members that are not allowed.
        reason: Why they are not allowed, for the error.
    """

    def check(value: Any) -> Any:
        _require(enumeration is not None and isinstance(value, enumeration))
        _require(all(value != getattr(enumeration, one) for one in refused))
        return value

    allowed = f"a member of pyroscope.{name}"
    if refused:
        allowed += f" other than {', '.join(refused)} ({reason})"
    return Kind(allowed=allowed, check=check)


NAME = Kind("text that is not empty", _name)
HEADER_VALUE = Kind("text without control characters", _header_value)
HIDDEN = Kind(
    "text without control characters",
    _header_value,
    show=lambda value: f"a secret of type {type(value).__name__}, which is not shown",
)
FLAG = Kind("True or False", _flag, _flag_from_text, "true or false")
RATE = Kind(
    "a whole number of samples per second, 1 to 1000000",
    _whole(1, 1_000_000),
    _rate_from_interval,
    "the time between two samples, at most 1s, with its unit us, ms or s, as in 10ms",
)
SECONDS = Kind(
    "a whole number of seconds, 1 or more",
    _whole(1),
    _seconds_from_duration,
    "a whole number of seconds, 1 or more, with the unit, as in 10s",
)
ADDRESS = Kind(
    "a URL that begins with http:// or https:// and names a host",
    _address,
    show=mask_address,
)
TEXTS = Kind(
    "a mapping of names to texts",
    _texts,
    _labels_from_text,
    "name=value pairs with commas between them",
)
HEADERS = Kind(
    "a mapping of HTTP header names to texts without control characters",
    _headers,
    json.loads,
    "a JSON object of HTTP header names and texts without control characters",
    _show_headers,
)
SPAN_LABEL_NAMES = Kind(
    f"a list or tuple of one or more of {', '.join(SPAN_LABELS)}",
    _span_labels,
    _names_from_text,
    f"one or more of {', '.join(SPAN_LABELS)}, with commas between them",
)
SAMPLER = Kind(
    f"{', '.join(map(repr, SAMPLERS))} or a member of pyroscope.ProfilerImplementation",
    _sampler,
    allowed_as_text=f"one of {', '.join(SAMPLERS)}",
)
TRACER_PROVIDER = Kind(
    "a tracer provider with add_span_processor, such as opentelemetry.sdk.trace.TracerProvider",
    _tracer_provider,
    show=_show_type,
)
