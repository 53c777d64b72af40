"""Decides which request the running code belongs to.

The rule: code belongs to the profile of the local root span above its current span, while that
current span or the root is open. Otherwise it belongs to no profile. Wrong is worse than
missing.

The thing that code belongs to is its *owner*. An owner has the number that samples carry. The
span processor stores the owner of each span in an attribute of the span. Code whose context
names no span *inherits* an owner:

* Code in a request that a middleware holds open, before the root span has started and after it
  has ended, until the response is closed.
* A job in a thread pool, which starts in the worker's context and knows nothing of the
  submitter's.
"""

from __future__ import annotations

import contextlib
import contextvars
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace

from pyroscope_otel.link.marks import MARKS
from pyroscope_otel.link.thread_labels import get_ident

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroscope_otel.link.marks import Mark
    from pyroscope_otel.link.profile import Profile


def _find_context_variable() -> ContextVar[otel_context.Context]:
    """Return the context variable that holds OpenTelemetry's current context."""
    context = contextvars.Context()
    context.run(otel_context.attach, otel_context.Context())
    try:
        (variable,) = context
    except ValueError:
        raise RuntimeError(
            "pyroscope-otel needs OpenTelemetry's context to be kept in a context variable; "
            "the one that OTEL_PYTHON_CONTEXT names is kept elsewhere"
        ) from None
    return variable


# Neither has a public name. Finding them through public functions also works if a later
# OpenTelemetry release renames them.
CURRENT: Final = _find_context_variable()
(SPAN_KEY,) = trace.set_span_in_context(trace.INVALID_SPAN, otel_context.Context())


class Owner:
    """The owner of running code: here, a local root span. It has a number of its own.

    The number becomes free when nothing refers to the owner: no span below its root, no
    context, and no code running through its mark.
    """

    __slots__ = ("inside", "mark", "profile", "spare_marks", "thread_ident")

    def __init__(self, profile: Profile | None = None, inside: Owner | None = None) -> None:
        self.inside = inside
        """What the code inherited where this owner began, such as the request around it."""
        self.thread_ident = get_ident()
        """The thread that the owner was created on."""
        self.mark: Mark = MARKS.take()
        self.profile = self.mark.profile = profile
        self.spare_marks: list[Mark] | None = None
        """Marks of guests that left in time, for later guests to reuse."""

    def __del__(self) -> None:
        try:
            MARKS.give_back(self.mark)
            if self.spare_marks:
                self._give_back_spare_marks()
            if self.profile is not None:
                self.profile.settle()
        except Exception:  # noqa: S110  our globals may be gone at interpreter exit
            pass

    def _give_back_spare_marks(self) -> None:
        for mark in self.spare_marks or ():
            MARKS.give_back(mark)

    def if_open(self) -> Owner | None:
        """Return the owner of code that inherits this one: itself while open, else None."""
        return self if self.profile is not None and self.profile.is_open() else None


INHERITED: Final[ContextVar[Owner | None]] = ContextVar("pyroscope_otel_inherited")


class Hold(Owner):
    """A request whose profile a middleware holds open until its response is closed.

    The profile is the one of the first local root span that starts in the request's context. If
    a span without an owner was current before, as an unsampled request's root span is, only a
    root span in the same trace is the request's. Use `hold_request`.
    """

    __slots__ = ("_trace_id", "is_closed", "on_profile")

    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False
        """Whether the request is over."""
        self._trace_id: int | None = None
        self.on_profile: Callable[[Profile], object] | None = None
        """Called when the request gets its profile."""

    def take(self, profile: Profile) -> bool:
        """Hold this profile, if the request is running and has none yet. Return whether it does."""
        if (
            self.profile is not None
            or self.is_closed
            or self._trace_id not in (None, profile.trace_id)
        ):
            return False
        self.profile = self.mark.profile = profile
        for mark in self.spare_marks or ():
            # Samples of jobs from before the root span started belong to the request too.
            mark.profile = profile
        profile.hold()
        if self.on_profile is not None:
            self.on_profile(profile)
        return True

    def stay_in_trace(self, trace_id: int) -> None:
        """Only take a profile of this trace, unless an earlier call named another."""
        if self._trace_id is None:
            self._trace_id = trace_id

    def close(self) -> None:
        """Release the profile. A second call does nothing."""
        if not self.is_closed:
            self.is_closed = True
            if self.profile is not None:
                self.profile.release()

    def if_open(self) -> Owner | None:
        """Return this hold while the request is running, else None."""
        return None if self.is_closed else self

    @property
    def profile_id(self) -> str | None:
        """The request's profile id, or None if no local root span has started."""
        return None if self.profile is None else self.profile.id


class Guest(Owner):
    """Code that may outlive the request it works for, such as a pool job.

    It belongs to the request while the span it began under, or the root, is open. It keeps
    neither of them open or alive. It has a number of its own, so that an upload can check
    whether its samples were taken in time without affecting the request's own samples.
    """

    __slots__ = ("_host", "_span")

    def __init__(self, host: Owner, span: weakref.ref[Any] | None) -> None:
        self.inside = None
        self.thread_ident = get_ident()
        self.spare_marks = None
        self.profile = host.profile
        self._host: Owner | None = host
        self._span = span
        # Optimization: all guests of one host belong to one profile, so guests that run one
        # after the other share a number.
        spare_marks = host.spare_marks
        self.mark = spare_marks.pop() if spare_marks else MARKS.take()
        self.mark.profile = self.profile
        self.mark.guest = self

    def __del__(self) -> None:
        # `leave` has already released the guest's own mark.
        if self.spare_marks:
            with contextlib.suppress(Exception):  # as in `Owner`
                self._give_back_spare_marks()

    def if_open(self) -> Owner | None:
        """Return this guest while it may still work for the request, else None."""
        host = self._host
        return self if host is not None and self._is_in_time_of(host) else None

    def run(self, call: Callable[..., Any], /, *arguments: Any) -> Any:
        """Call a function, and leave."""
        try:
            return call(*arguments)
        finally:
            self.leave()

    def leave(self, *, in_time: bool = False) -> None:
        """Stop working for the request.

        The samples count if the request is still open, or if the caller says that they are in
        time because it has just seen the request end on this guest's thread. A copy of the
        job's context may live on: asgiref gives the final context of a coroutine to the code
        that awaited it.
        """
        host, self._host = self._host, None
        if host is None:
            return
        mark = self.mark
        if not (in_time or self._is_in_time_of(host)):
            mark.profile = None
            MARKS.give_back(mark)
            return
        mark.profile = host.profile
        mark.guest = None
        if host.spare_marks is None:
            host.spare_marks = [mark]
        else:
            host.spare_marks.append(mark)

    def still_serves(self, host: Owner) -> bool:
        """Return whether this guest may still work for this host's request."""
        return self.profile is host.profile and self.if_open() is self

    def is_in_time(self) -> bool:
        """Return whether the request is still open, so that the samples so far count."""
        return self._host is not None and self._is_in_time_of(self._host)

    def _is_in_time_of(self, host: Owner) -> bool:
        span: Any = None if self._span is None else self._span()
        if span is not None and span.is_recording():
            return True
        if self.profile is None:
            # The guest began before the request's root span.
            return host.if_open() is host
        return self.profile.is_open()


def as_guest(
    host: Owner, span: Any, call: Callable[..., Any], arguments: tuple[Any, ...]
) -> tuple[Mark, Callable[..., Any], tuple[Any, ...]]:
    """Turn a step of an event loop on another thread than its owner's into a guest.

    The step may outlive its request, and its thread may never learn that the request has ended.

    Args:
        host: The owner of the step.
        span: The span that is current in the step, or None.
        call: The step's function.
        arguments: Its arguments.

    Returns:
        The mark to run the step through, a function, and its arguments.
    """
    guest = Guest(host, None if span is None else weakref.ref(span))
    return guest.mark, guest.run, (call, *arguments)


def span_in(context: otel_context.Context | None) -> Any:
    """Return the span in a context (default: the current context), or None."""
    # Optimization: `trace.get_current_span` without its checks takes a third of the time. This
    # runs at the start of every span.
    if context is None:
        context = CURRENT.get(None)
    return None if context is None else context.get(SPAN_KEY)


def current_span_ref() -> weakref.ref[Any] | None:
    """Return a weak reference to the current span, or None if there is none."""
    span = span_in(None)
    return None if span is None else weakref.ref(span)


def owner_of_span(span: Any) -> Owner | None:
    """Return the owner of code under a span, whether its profile is open or not."""
    owner: Owner | None = getattr(span, "_pyroscope_owner", None)
    return owner


def set_owner(span: Any, owner: Owner) -> None:
    """Assign a span, and the code that runs under it, to an owner."""
    span._pyroscope_owner = owner  # noqa: SLF001  our own attribute on their object


def owner_under(span: Any, context: contextvars.Context | None = None) -> Owner | None:
    """Return the owner of code that runs under a span, or None.

    Args:
        span: The span.
        context: The context in which the span is current. It is not entered. None means the
            current context.
    """
    try:
        owner: Owner = span._pyroscope_owner  # noqa: SLF001  our own attribute
    except AttributeError:
        return None
    return owner if span.is_recording() else owner_after_end(owner, context)


def owner_after_end(owner: Owner, context: contextvars.Context | None) -> Owner | None:
    """Return the owner of code under an ended span, or None.

    It is the span's owner while that owner's profile is open, unless the context holds another
    request, in which the owner did not begin. In that case a kept-alive connection left the span
    behind from the previous request, which continues elsewhere.
    """
    if owner.profile is None or not owner.profile.is_open():
        return None
    inherited = INHERITED.get(None) if context is None else context.get(INHERITED)
    if (
        isinstance(inherited, Hold)
        and not inherited.is_closed
        and inherited.profile is not owner.profile
        and inherited is not owner.inside
    ):
        return inherited
    return owner


def current_owner() -> Owner | None:
    """Return the owner of the calling code, or None."""
    context = CURRENT.get(None)
    if context is not None:
        span = context.get(SPAN_KEY)
        if span is not None:
            return owner_under(span)
        if not context:
            # An empty context was attached on purpose, so nothing is inherited.
            return None
    inherited = INHERITED.get(None)
    return None if inherited is None else inherited.if_open()


def owner_in(context: contextvars.Context) -> Owner | None:
    """Return the owner of code that runs in a context, or None. The context is not entered."""
    current = context.get(CURRENT)
    span = None if current is None else current.get(SPAN_KEY)
    if span is not None:
        return owner_under(span, context)
    if current is not None and not current:
        return None
    inherited = context.get(INHERITED)
    return None if inherited is None else inherited.if_open()


def adopt(context: otel_context.Context | None) -> None:
    """Assign a foreign span to the profile that encloses it.

    Some spans never pass through our processor: the sampler dropped them, another provider made
    them, or an object of another class wraps them. Where such a span becomes current below one
    of our spans in the same trace, the code under it belongs to that profile.

    Args:
        context: A context about to be attached, whose span has no owner. It may be None:
            OpenTelemetry attaches None if no propagator makes a context.
    """
    span: Any = None if context is None else context.get(SPAN_KEY)
    if span is None:
        return
    span_context = span.get_span_context()
    if not span_context.is_valid or span_context.is_remote:
        return
    inherited = INHERITED.get(None)
    if isinstance(inherited, Hold):
        inherited.stay_in_trace(span_context.trace_id)
    enclosing: Any = span_in(None)
    if enclosing is None or enclosing.get_span_context().trace_id != span_context.trace_id:
        return
    owner = owner_under(enclosing)
    if owner is not None:
        # An object that rejects our attribute stays without an owner.
        with contextlib.suppress(AttributeError):
            set_owner(span, owner)
