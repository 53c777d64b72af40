"""The span processor: finds local root spans and gives each a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import TraceFlags

from pyroscope_otel.link import failure
from pyroscope_otel.link.attribution import (
    SPAN_KEY,
    Hold,
    Owner,
    current_owner,
    owner_after_end,
    set_owner,
)
from pyroscope_otel.link.profile import PROFILE_ID_ATTRIBUTE, SPAN_LABELS, Profile
from pyroscope_otel.link.switch import (
    current_context,
    current_inherited,
    follow_current,
    is_settled,
    note_end,
)
from pyroscope_otel.link.thread_labels import last

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.trace import SpanContext

DEFAULT_SPAN_LABELS = ("span_id", "span_name")


def _nothing() -> None: ...


class Surroundings:
    """What the processor calls. The package sets it, because the link imports nothing above it.

    Attributes:
        install_hooks: Called for each new processor.
        root_starts: Called for each local root span that starts outside of another one.
    """

    __slots__ = ("install_hooks", "root_starts")

    def __init__(self) -> None:
        self.install_hooks: Callable[[], None] = _nothing
        self.root_starts: Callable[[], None] = _nothing


SURROUNDINGS: Final = Surroundings()


class PyroscopeSpanProcessor(SpanProcessor):
    """Links spans with profiles. Register it with the tracer provider.

    Each local root span (recording and sampled, with a parent that is absent, remote or ended)
    gets the attribute ``pyroscope.profile.id``. From then on each CPU sample carries the id of
    the root span that it was spent on.

    Nothing is hooked before the first processor exists. The application starts the agent with
    `pyroscope.configure`, or uses `pyroscope_otel.configure`, which also registers this
    processor.

    Args:
        span_labels: The labels of a sample: ``span_id`` (the link), ``span_name`` and
            ``trace_id``. Pyroscope servers before June 2026 make each ``trace_id`` a series.
        scope: ``"root"`` gives each local root span a profile. ``"all"`` gives every span one,
            at the cost of many more profiles.

    Raises:
        ValueError: If `span_labels` is empty or has an unknown name, or if `scope` is unknown.
    """

    def __init__(
        self,
        span_labels: Iterable[str] = DEFAULT_SPAN_LABELS,
        scope: Literal["root", "all"] = "root",
    ) -> None:
        chosen = set(span_labels)
        if not chosen or not chosen <= set(SPAN_LABELS):
            raise ValueError(
                f"span_labels={span_labels!r}: expected one or more of {', '.join(SPAN_LABELS)}"
            )
        if scope not in ("root", "all"):
            raise ValueError(f"scope={scope!r}: expected 'root' or 'all'")
        # The link goes on last (`thread_labels.Labels`).
        self._span_labels = tuple(sorted(chosen, key=("span_name", "trace_id", "span_id").index))
        self._every_span = scope == "all"
        SURROUNDINGS.install_hooks()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Assign the span to the enclosing profile, or give it its own."""
        try:
            self._start(span, parent_context)
        except Exception:
            failure.report("find the profile of a span")

    def on_end(self, span: ReadableSpan) -> None:
        """Update the label: the ended span may be the current one, and a root."""
        last.event = []
        try:
            # Optimization: usually the span was detached before it ended, and the current span
            # is still open and decides by itself.
            context = current_context(None)
            current: Any = None if context is None else context.get(SPAN_KEY)
            if current is not None and current.is_recording():
                return
            if current is None and (not note_end(span.context.span_id) or is_settled(None)):
                return
        except Exception:
            # The current span may be of any class.
            failure.report("look at the current span")
        follow_current()

    def _start(self, span: Span, parent_context: Context | None) -> None:
        # Optimization: most spans are below an open span of ours, or below no span. They take
        # the shortest path.
        if getattr(span, "_pyroscope_owner", None) is not None:
            return  # Another of our processors has handled it.
        context = current_context(None) if parent_context is None else parent_context
        parent: Any = None if context is None else context.get(SPAN_KEY)
        enclosing: Owner | None = getattr(parent, "_pyroscope_owner", None)
        if enclosing is None:
            if span.parent is not None:
                enclosing = _enclosing_owner(span, span.parent)
        elif not parent.is_recording() and owner_after_end(enclosing, None) is not enclosing:
            # An ended parent does not enclose the span, unless its root is still open. A
            # kept-alive connection can pass the last request's span to the next request.
            enclosing = None
        if enclosing is not None and not self._every_span:
            span._pyroscope_owner = enclosing  # type: ignore[attr-defined]  # noqa: SLF001  ours
            return
        if not span.context.trace_flags & TraceFlags.SAMPLED:
            # Recorded but never exported, so no profile could be linked to it.
            if enclosing is not None:
                set_owner(span, enclosing)
            return
        profile = Profile(span, self._span_labels)
        span.set_attribute(PROFILE_ID_ATTRIBUTE, profile.id)
        request = current_inherited(None) if enclosing is None else None
        if isinstance(request, Hold) and request.take(profile):
            set_owner(span, request)
        else:
            set_owner(span, Owner(profile, request))
        if enclosing is None:
            SURROUNDINGS.root_starts()


def _enclosing_owner(span: Span, parent: SpanContext) -> Owner | None:
    """Return the owner that encloses a span whose parent object has no owner.

    The parent may never have reached us and was never current (a span that the sampler
    dropped), or this may be an SDK thread without a current span
    (`ConcurrentMultiSpanProcessor`). Only the code that starts the child can tell the owner
    then.
    """
    if parent.is_remote:
        return None
    owner = current_owner()
    if (
        owner is not None
        and owner.profile is not None
        and owner.profile.trace_id == span.context.trace_id
    ):
        return owner
    return None
