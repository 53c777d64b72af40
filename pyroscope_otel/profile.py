"""A profile: what belongs to one local root span.

Its id is that span's id. The span has it as an attribute, each sample that was
taken of it as a label, and Grafana's link from the span to the profile joins the two.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from pyroscope_otel.thread_labels import Labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import Span
    from opentelemetry.util.types import AttributeValue

PROFILE_ID_ATTRIBUTE: Final = "pyroscope.profile.id"
"""The span attribute that Grafana looks for (`pyroscopeProfileIdTagKey` in its
source) to offer the link from a span to its profile."""

SPAN_LABELS: Final = ("span_id", "span_name", "trace_id")
"""The labels that a sample can carry. The server takes `span_id` and `trace_id`
apart from series; before June 2026 it made a series of each `trace_id`."""


class Profile:
    """What belongs to one local root span.

    It outlives the root, until the last samples are uploaded, so it must not keep the
    root alive: a span that nobody ever ends goes when the application lets go of it.

    Args:
        root: The local root span.
        span_labels: The names of the labels that its samples carry, among
            `SPAN_LABELS`, in the order in which they are put on a thread.
    """

    __slots__ = (
        *("_attributes", "_holders", "_labels", "_root", "_span_labels"),
        *("context", "id", "name"),
    )

    def __init__(self, root: Span, span_labels: tuple[str, ...]) -> None:
        self.context = root.context
        # Optimization: half the price of `trace.format_span_id` and its f-string.
        self.id = "%016x" % self.context.span_id  # noqa: UP031
        self._root = weakref.ref(root)
        self._holders = 0
        self._span_labels = span_labels
        self.name = name = root.name
        # What a name with a path in it means is decided when it is needed, by what the
        # root's attributes are then: most requests are never sampled.
        self._attributes = root.attributes if "/" in name else None
        self._labels: Labels | None = None

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
        """Take a span's new name, if it is the root."""
        if self._root() is span:
            self.name = span.name
            self._attributes = span.attributes if "/" in span.name else None
            self._labels = None

    def span_labels(self) -> tuple[tuple[str, str], ...]:
        """Return the labels of its samples: keys and values, the link last."""
        return tuple([(key, self._label(key)) for key in self._span_labels])

    @property
    def labels(self) -> Labels:
        """The same for a thread. The same tuple for as long as they are the same."""
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
        return format(self.context.trace_id, "032x")


def label_name(name: str, attributes: Mapping[str, AttributeValue] | None) -> str:
    """Return the name of a span as a label value.

    Each value is a series of its own on the server, so a raw path must not
    become one. Where an instrumentation named the span after it ("GET /users/7"
    and no `http.route`), what stands before the path remains ("GET").
    """
    if "/" not in name or not attributes or "http.route" in attributes:
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
