"""A profile: what belongs to one local root span.

Its id is that span's id. The span has it as an attribute, each sample of CPU
time spent on it as a label, and Grafana's link from the span to the profile
joins the two.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.util.types import AttributeValue

    from pyroscope_otel.thread_labels import Labels

PROFILE_ID_ATTRIBUTE: Final = "pyroscope.profile.id"
"""The span attribute that Grafana looks for (`pyroscopeProfileIdTagKey` in its
source) to offer the link from a span to its profile."""

SPAN_LABELS: Final = ("span_id", "span_name", "trace_id")
"""The labels that a sample can carry. The server takes `span_id` and `trace_id`
apart from series; before June 2026 it made a series of each `trace_id`."""


class Profile:
    """What belongs to one local root span.

    Every span below the root refers to its profile, so the profile must not
    keep the root alive in turn: a span that nobody ever ends goes when the
    application lets go of it, without waiting for the garbage collector.

    Args:
        root: The local root span.
        span_labels: The names of the labels that its samples carry, among
            `SPAN_LABELS`, in the order in which they are put on a thread.
    """

    __slots__ = ("_holders", "_root", "_span_labels", "context", "id", "labels")

    def __init__(self, root: Span, span_labels: tuple[str, ...]) -> None:
        self.context = root.context
        # Optimization: half the price of `trace.format_span_id` and its f-string.
        self.id = "%016x" % self.context.span_id  # noqa: UP031
        self._root = weakref.ref(root)
        self._holders = 0
        self._span_labels = span_labels
        self.labels: Labels = self._labels_of(root)
        """The labels of its samples. The same tuple for as long as they are the same."""

    def is_open(self) -> bool:
        """Return whether its root span has not ended, or somebody holds it open."""
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
        """Have the labels follow a span's name, if it is the root."""
        if self._root() is span:
            self.labels = self._labels_of(span)

    def _labels_of(self, root: Span) -> Labels:
        if self._span_labels == ("span_name", "span_id"):
            # Optimization: the default, without a loop: 0.16 µs less (CPython 3.11).
            name, link = ("span_name", label_name(root)), ("span_id", self.id)
            return (name, link), (link, name)
        labels = []
        for key in self._span_labels:
            if key == "span_id":
                value = self.id
            elif key == "span_name":
                value = label_name(root)
            else:
                value = format(self.context.trace_id, "032x")
            labels.append((key, value))
        in_order = tuple(labels)
        return in_order, in_order[::-1]


def label_name(span: ReadableSpan) -> str:
    """Return the name of a span as a label value.

    Each value is a series of its own on the server, so a raw path must not
    become one. Where an instrumentation named the span after it ("GET /users/7"
    and no `http.route`), what stands before the path remains ("GET").
    """
    name = span.name
    # Optimization: reading attributes takes a lock and a copy, so look at the
    # name first.
    if "/" not in name:
        return name
    attributes = span.attributes
    if not attributes or "http.route" in attributes:
        return name
    before = _before_path(name, attributes)
    if before is None:
        return name
    return before.rstrip() or _method(attributes) or "HTTP"


# The names of OpenTelemetry's semantic conventions for HTTP spans, the stable
# one first and those from before.
_PATHS = ("url.path", "http.target", "http.url")
_METHODS = ("http.request.method", "http.method")


def _method(attributes: Mapping[str, AttributeValue]) -> str | None:
    """Return the method of an HTTP span."""
    for key in _METHODS:
        if attributes.get(key):
            return str(attributes[key])
    return None


def _before_path(name: str, attributes: Mapping[str, AttributeValue]) -> str | None:
    """Return what stands in an HTTP span's name before its path, None if it has none.

    Name and attribute may differ: WSGI names the path below the mount point,
    unquoted, and the attribute may hold the request's target, quoted, whole.
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
        # A path begins with its slash: "GET about/team" is a route of Django's.
        if before[-1:] in ("", " ") and _ends_with(path, shown):
            return before
        if name.endswith(path):
            return name[: -len(path)]
    # No path is known. What looks like one in an HTTP span's name may be raw.
    return None if is_known or _method(attributes) is None else before


def _ends_with(path: str, shown: str) -> bool:
    """Return whether a path ends with another, in whatever spelling of the two."""
    if path.endswith(shown):
        return True
    spellings = (shown, unquote(shown), _as_text(shown))
    return path.endswith(spellings) or unquote(path).endswith(spellings)


def _as_text(path: str) -> str:
    """Undo that WSGI hands over a path's bytes as if they were Latin-1."""
    try:
        return path.encode("latin-1").decode()
    except UnicodeError:
        return path
