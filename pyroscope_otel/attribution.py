"""Whose the running code is.

The rule: it belongs to the profile of the local root above the span that is current in
the code's own context, as long as that span or the root is open. Otherwise to none.
Wrong is worse than missing.

What code can belong to is an *owner*: it has the number that samples carry. A span knows
its owner by an attribute that the span processor sets. What remains is code in whose
context OpenTelemetry names no span. It *inherits* an owner:

* What runs in a request that a middleware holds open: before its root span has started,
  and after it has ended, until the response is closed.
* A job in a thread pool, which starts in its worker's context and knows nothing of the
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

from pyroscope_otel.marks import MARKS
from pyroscope_otel.thread_labels import get_ident

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroscope_otel.marks import Mark
    from pyroscope_otel.profile import Profile


def _find_context_variable() -> ContextVar[otel_context.Context]:
    """Return the variable in which OpenTelemetry keeps its current context."""
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


# Both have no public name. They are found through public functions, so that
# they are right also where a later OpenTelemetry names them differently.
CURRENT: Final = _find_context_variable()
(SPAN_KEY,) = trace.set_span_in_context(trace.INVALID_SPAN, otel_context.Context())


class Owner:
    """What code belongs to, with a number of its own: here, a local root span.

    The number is free again when nobody refers to the owner any more: no span below its
    root, no context, and no code that runs through its mark.
    """

    __slots__ = ("home", "lent", "mark", "profile")

    def __init__(self, profile: Profile | None = None) -> None:
        self.home = get_ident()
        """The thread that it began on."""
        self.mark: Mark = MARKS.take()
        self.profile = self.mark.profile = profile
        self.lent: list[Mark] | None = None
        """The marks of guests that have left in time, for the next ones."""

    def __del__(self) -> None:
        try:
            MARKS.give_back(self.mark)
            for mark in self.lent or ():
                MARKS.give_back(mark)
        except Exception:  # noqa: S110  at the interpreter's end our globals may be gone
            pass

    def if_open(self) -> Owner | None:
        """Return what code that inherits this owner belongs to: this, or None."""
        return self if self.profile is not None and self.profile.is_open() else None


INHERITED: Final[ContextVar[Owner | None]] = ContextVar("pyroscope_otel_inherited")


class Hold(Owner):
    """A request whose profile a middleware holds open until its response is closed.

    The profile is that of the first local root span that starts in the request's
    context. Use `hold_request`.
    """

    __slots__ = ("_closed", "when_taken")

    def __init__(self) -> None:
        super().__init__()
        self._closed = False
        self.when_taken: Callable[[Profile], object] | None = None
        """Called when there is a profile."""

    def take(self, profile: Profile) -> None:
        """Hold this profile, unless there is one already or the request is over."""
        if self.awaits_profile():
            self.profile = self.mark.profile = profile
            for mark in self.lent or ():
                # What jobs did before the root span had started is the request's as well.
                mark.profile = profile
            profile.hold()
            if self.when_taken is not None:
                self.when_taken(profile)

    def awaits_profile(self) -> bool:
        """Return whether the request is under way, and no profile is held yet."""
        return self.profile is None and not self._closed

    def close(self) -> None:
        """Let go of the profile. A second call does nothing."""
        if not self._closed:
            self._closed = True
            if self.profile is not None:
                self.profile.release()

    @property
    def is_closed(self) -> bool:
        """Whether the request is over."""
        return self._closed

    def if_open(self) -> Owner | None:
        """Return this while the request is under way, else None."""
        return None if self._closed else self

    @property
    def profile_id(self) -> str | None:
        """The request's profile id, or None where no local root span has started."""
        return None if self.profile is None else self.profile.id


class Guest(Owner):
    """Code that may go on after the request it works for: a job, a thread that was told to.

    It belongs to the request while the span that it began under, or the root, is open, and
    keeps neither open nor alive. It has a number of its own: whether samples were taken in
    time is asked when they are uploaded, and what the request's own code did is right
    either way.
    """

    __slots__ = ("_host", "_span")

    def __init__(self, host: Owner, span: weakref.ref[Any] | None) -> None:
        self.home = get_ident()
        self.lent = None
        self.profile = host.profile
        self._host: Owner | None = host
        self._span = span
        # Optimization: what guests of one host have sampled is of one profile, so one number
        # does for those that come one after the other.
        lent = host.lent
        self.mark = lent.pop() if lent else MARKS.take()
        self.mark.profile = self.profile
        self.mark.guest = self

    def __del__(self) -> None:
        """Do nothing: it had to leave before."""

    def if_open(self) -> Owner | None:
        """Return this while it may still work for the request, else None."""
        host = self._host
        return self if host is not None and self._is_in_time_of(host) else None

    def leave(self, *, in_time: bool = False) -> None:
        """Work for the request no more.

        What was sampled counts if the request is open still, or if it is said to be in
        time: its end is just seen on the thread that works for it. A copy of the job's
        context may live on: asgiref gives the context that a coroutine ended in to the
        code that waited for it.
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
        if host.lent is None:
            host.lent = [mark]
        else:
            host.lent.append(mark)

    def still_serves(self, host: Owner) -> bool:
        """Return whether it may still work for this host's request."""
        return self.profile is host.profile and self.if_open() is self

    def is_in_time(self) -> bool:
        """Return whether the request is open, so that what was sampled until now counts."""
        return self._host is not None and self._is_in_time_of(self._host)

    def _is_in_time_of(self, host: Owner) -> bool:
        span: Any = None if self._span is None else self._span()
        if span is not None and span.is_recording():
            return True
        if self.profile is None:
            # It began before the request's root span.
            return host.if_open() is host
        return self.profile.is_open()


def span_in(context: otel_context.Context | None) -> Any:
    """Return the span that a context names, or the current one names; None if there is none."""
    # Optimization: `trace.get_current_span` without its checks, at a third of its
    # price. It runs at every span's start.
    if context is None:
        context = CURRENT.get(None)
    return None if context is None else context.get(SPAN_KEY)


def weak_span() -> weakref.ref[Any] | None:
    """Return a reference to the current span that keeps it not alive; None if there is none."""
    span = span_in(None)
    return None if span is None else weakref.ref(span)


def owner_of_span(span: Any) -> Owner | None:
    """Return the owner of what runs under a span, its profile open or not."""
    owner: Owner | None = getattr(span, "_pyroscope_owner", None)
    return owner


def put_span_in(span: Any, owner: Owner) -> None:
    """Make a span, and thereby what runs under it, part of an owner's profile."""
    span._pyroscope_owner = owner  # noqa: SLF001  our own attribute on their object


def owner_under(span: Any, context: contextvars.Context | None = None) -> Owner | None:
    """Return whose code is that runs under a span, or None.

    Args:
        span: The span.
        context: The context that it is current in, without entering it; None is the current.
    """
    try:
        owner: Owner = span._pyroscope_owner  # noqa: SLF001  our own attribute
    except AttributeError:
        return None
    return owner if span.is_recording() else owner_after_end(owner, context)


def owner_after_end(owner: Owner, context: contextvars.Context | None) -> Owner | None:
    """Return whose code is that runs under an ended span of an owner's, or None.

    It is the owner's while its profile is open; unless another request is held there: its
    connection is kept alive, and the span was left behind by the request before, which goes
    on elsewhere.
    """
    if owner.profile is None or not owner.profile.is_open():
        return None
    inherited = INHERITED.get(None) if context is None else context.get(INHERITED)
    if (
        isinstance(inherited, Hold)
        and not inherited.is_closed
        and inherited.profile is not owner.profile
    ):
        return inherited
    return owner


def current_owner() -> Owner | None:
    """Return whose the calling code is, or None."""
    context = CURRENT.get(None)
    if context is not None:
        span = context.get(SPAN_KEY)
        if span is not None:
            return owner_under(span)
        if not context:
            # An empty context was attached on purpose: nothing is inherited.
            return None
    inherited = INHERITED.get(None)
    return None if inherited is None else inherited.if_open()


def owner_in(context: contextvars.Context) -> Owner | None:
    """Return whose code runs in a context, without entering it."""
    current = context.get(CURRENT)
    span = None if current is None else current.get(SPAN_KEY)
    if span is not None:
        return owner_under(span, context)
    if current is not None and not current:
        return None
    inherited = context.get(INHERITED)
    return None if inherited is None else inherited.if_open()


def adopt(context: otel_context.Context | None) -> None:
    """Put a span that is not ours into the profile that encloses it.

    A span that the sampler dropped, that another provider made, or that is
    wrapped in an object of another class never came by our processor. Where it
    becomes current below a span of ours in the same trace, what runs under it is
    part of that profile.

    Args:
        context: A context that is about to be attached, with a span that has no
            owner. None is no context, and is attached all the same where there is
            no propagator to make one.
    """
    span: Any = None if context is None else context.get(SPAN_KEY)
    if span is None:
        return
    span_context = span.get_span_context()
    if not span_context.is_valid or span_context.is_remote:
        return
    enclosing: Any = span_in(None)
    if enclosing is None or enclosing.get_span_context().trace_id != span_context.trace_id:
        return
    owner = owner_under(enclosing)
    if owner is not None:
        # An object that takes no attribute of ours has no owner then.
        with contextlib.suppress(AttributeError):
            put_span_in(span, owner)
