"""A profile: everything that belongs to one local root span.

A profile's id is the id of its root span. The span has it as an attribute and each sample as a
label. Grafana's link from a span to its profile joins the two.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from pyroscope_otel.link.thread_labels import Labels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace import Span
    from opentelemetry.util.types import AttributeValue

PROFILE_ID_ATTRIBUTE: Final = "pyroscope.profile.id"
"""The span attribute that makes Grafana show the link from a span to its profile
(`pyroscopeProfileIdTagKey` in Grafana's source)."""

SPAN_LABELS: Final = ("span_id", "span_name", "trace_id")
"""The labels that a sample can carry. The server stores `span_id` and `trace_id` outside of
series. Before June 2026 it made each `trace_id` a series."""


class Profile:
    """The profile of one local root span.

    It outlives the root, until the last samples are uploaded, so it must not keep the root
    alive. A span that is never ended disappears when the application drops it.

    Attributes:
        id: The id of the root span, as 16 hexadecimal digits.
        span_id: The same as a number.
        trace_id: The id of the root's trace.
        name: The name of the root span.

    Args:
        root: The local root span.
        span_labels: The names of the labels that the samples carry, from `SPAN_LABELS`, in the
            order in which they are put on a thread.
    """

    __slots__ = (
        *("_attributes", "_holders", "_labels", "_root", "_span_labels"),
        *("id", "name", "span_id", "trace_id"),
    )

    def __init__(self, root: Span, span_labels: tuple[str, ...]) -> None:
        context = root.context
        self.span_id: int = context.span_id
        self.trace_id: int = context.trace_id
        # Optimization: half the time of `trace.format_span_id` and its f-string.
        self.id = "%016x" % self.span_id  # noqa: UP031
        self._root: Callable[[], Span | None] = weakref.ref(root)
        self._holders = 0
        self._span_labels = span_labels
        self.name = name = root.name
        # A name with a path is resolved only when needed, from the root's attributes at that
        # time. Most requests are never sampled.
        self._attributes = root.attributes if "/" in name else None
        self._labels: Labels | None = None

    def is_open(self) -> bool:
        """Return whether the root span has not ended, or a middleware holds the profile open."""
        if self._holders:
            return True
        root = self._root()
        return root is not None and root.is_recording()

    def hold(self) -> None:
        """Keep the profile open after its root span has ended, until `release`."""
        self._holders += 1

    def release(self) -> None:
        """Undo one `hold`."""
        self._holders -= 1

    def rename(self, span: Span) -> None:
        """Take over a span's new name, if the span is the root."""
        if self._root() is span:
            self.name = span.name
            self._attributes = span.attributes if "/" in span.name else None
            self._labels = None

    def settle(self) -> None:
        """Keep only what the samples still need, if the root span has ended or is gone.

        Optimization: the profiles of an upload interval wait for their upload. Without this, each
        keeps nine more objects that every full garbage collection visits.
        """
        root = self._root()
        if root is not None and root.is_recording():
            return
        if self._attributes is not None:
            self.name = label_name(self.name, self._attributes)
            self._attributes = None
        self._root = _gone

    def span_labels(self) -> tuple[tuple[str, str], ...]:
        """Return the labels of the samples as keys and values, with the link last."""
        return tuple([(key, self._label(key)) for key in self._span_labels])

    @property
    def labels(self) -> Labels:
        """The span labels for a thread. The same tuple object while they do not change."""
        labels = self._labels
        if labels is None:
            in_order = self.span_labels()
            labels = self._labels = Labels(in_order, in_order[::-1])
        return labels

    def _label(self, key: str) -> str:
        if key == "span_id":
            return self.id
        if key == "span_name":
            return label_name(self.name, self._attributes)
        return format(self.trace_id, "032x")


def _gone() -> None: ...


def label_name(name: str, attributes: Mapping[str, AttributeValue] | None) -> str:
    """Return the name of a span as a label value.

    Each value is a series on the server, so a raw path must not become a value. If an
    instrumentation put a raw path into the name ("GET /users/7" without `http.route`), only the
    part before the path is used ("GET").
    """
    if "/" not in name or not attributes or "http.route" in attributes:
        return name
    before = _before_path(name, attributes)
    if before is None:
        return name
    return before.rstrip() or _method(attributes) or "HTTP"


# OpenTelemetry's semantic conventions for HTTP spans: the stable name first, then older ones.
_PATHS = ("url.path", "http.target", "http.url")
_METHODS = ("http.request.method", "http.method")


def _method(attributes: Mapping[str, AttributeValue]) -> str | None:
    """Return the method of an HTTP span."""
    for key in _METHODS:
        if attributes.get(key):
            return str(attributes[key])
    return None


def _before_path(name: str, attributes: Mapping[str, AttributeValue]) -> str | None:
    """Return the part of an HTTP span's name before its path, or None if it has no path.

    Name and attribute may differ. WSGI instrumentations use the unquoted path below the mount
    point in the name, while the attribute may hold the whole, quoted request target.
    """
    before, slash, rest = name.partition("/")
    shown = slash + rest
    is_known = False
    for key in _PATHS:
        value = attributes.get(key)
        path = value.partition("?")[0] if isinstance(value, str) else ""
        if not path:
            continue
        is_known = True
        # A path begins with a slash. "GET about/team" is a Django route.
        if before[-1:] in ("", " ") and _ends_with(path, shown):
            return before
        if name.endswith(path):
            return name[: -len(path)]
    # No path is known, so anything that looks like one in an HTTP span's name may be raw.
    return None if is_known or _method(attributes) is None else before


def _ends_with(path: str, shown: str) -> bool:
    """Return whether a path ends with another one, in any spelling of the two."""
    if path.endswith(shown):
        return True
    spellings = (shown, unquote(shown), _as_text(shown))
    return path.endswith(spellings) or unquote(path).endswith(spellings)


def _as_text(path: str) -> str:
    """Decode a WSGI path, whose bytes are passed as Latin-1 text."""
    try:
        return path.encode("latin-1").decode()
    except UnicodeError:
        return path
