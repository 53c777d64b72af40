"""Which profile the running code belongs to.

The rule: the profile of the local root above the span that is current in the
code's own context, as long as that span or the root is open. Otherwise none.
Wrong is worse than missing.

A span knows its profile by an attribute that the span processor sets. What
remains is code in whose context OpenTelemetry names no span:

* A job in a thread pool starts in its worker's context, which knows nothing of
  the submitter's. It *inherits* the submitter's profile.
* A response body may be produced after the span has ended and is no longer
  current. It inherits the profile of the request that a middleware holds open.
"""

from __future__ import annotations

import contextlib
import contextvars
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace

if TYPE_CHECKING:
    from pyroscope_otel.profile import Profile
    from pyroscope_otel.thread_labels import Labels


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


class Inherited:
    """What code whose context names no span belongs to."""

    __slots__ = ()

    def profile(self) -> Profile | None:
        """Return the profile, or None where it is no longer open."""
        raise NotImplementedError

    def labels(self) -> Labels | None:
        """Return the labels of samples of such code, or None for no labels."""
        profile = self.profile()
        return None if profile is None else profile.labels


INHERITED: Final[ContextVar[Inherited | None]] = ContextVar("pyroscope_otel_inherited")


class Submitter(Inherited):
    """Who submitted a job: its profile, open for as long as its span or root is.

    It keeps neither alive: a job that runs for ever must not keep a request.
    """

    __slots__ = ("_profile", "_span")

    def __init__(self, profile: Profile, span: object | None) -> None:
        self._profile: Profile | None = profile
        self._span = None if span is None else weakref.ref(span)

    def profile(self) -> Profile | None:
        """Return the submitter's profile, or None where it is no longer open."""
        profile = self._profile
        if profile is None:
            return None
        span: Any = None if self._span is None else self._span()
        if (span is not None and span.is_recording()) or profile.is_open():
            return profile
        return None

    def job_ended(self) -> None:
        """Let nothing inherit from the submitter any more.

        A copy of the job's context may live on: asgiref gives the context that a
        coroutine ended in to the code that waited for it.
        """
        self._profile = None


class Hold(Inherited):
    """A request whose profile a middleware holds open until its response is closed.

    The profile is that of the first local root span that starts in the request's
    context. Use `hold_request`.
    """

    __slots__ = ("_closed", "_profile")

    def __init__(self) -> None:
        self._profile: Profile | None = None
        self._closed = False

    def take(self, profile: Profile) -> None:
        """Hold this profile, unless there is one already or the request is over."""
        if self._profile is None and not self._closed:
            self._profile = profile
            profile.hold()

    def close(self) -> None:
        """Let go of the profile. A second call does nothing."""
        if not self._closed:
            self._closed = True
            if self._profile is not None:
                self._profile.release()

    def profile(self) -> Profile | None:
        """Return the request's profile while it is held, else None."""
        return None if self._closed else self._profile

    @property
    def profile_id(self) -> str | None:
        """The request's profile id, or None where no local root span has started."""
        return None if self._profile is None else self._profile.id


def span_in(context: otel_context.Context | None) -> Any:
    """Return the span that a context names, or the current one names; None if there is none."""
    # Optimization: `trace.get_current_span` without its checks, at a third of its
    # price. It runs at every span's start.
    if context is None:
        context = CURRENT.get(None)
    return None if context is None else context.get(SPAN_KEY)


def profile_of_span(span: Any) -> Profile | None:
    """Return the profile that a span is in, open or not."""
    profile: Profile | None = getattr(span, "_pyroscope_profile", None)
    return profile


def put_span_in(span: Any, profile: Profile) -> None:
    """Make a span, and thereby what runs under it, part of a profile."""
    span._pyroscope_profile = profile  # noqa: SLF001  our own attribute on their object


def _profile_under(span: Any) -> Profile | None:
    try:
        profile: Profile = span._pyroscope_profile  # noqa: SLF001  our own attribute
    except AttributeError:
        return None
    return profile if span.is_recording() or profile.is_open() else None


def current_profile() -> Profile | None:
    """Return the profile that the calling code belongs to, or None."""
    context = CURRENT.get(None)
    if context is not None:
        span = context.get(SPAN_KEY)
        if span is not None:
            return _profile_under(span)
        if not context:
            # An empty context was attached on purpose: nothing is inherited.
            return None
    inherited = INHERITED.get(None)
    return None if inherited is None else inherited.profile()


def current_submitter() -> Submitter | None:
    """Return what a job that is being submitted will inherit, or None."""
    profile = current_profile()
    return None if profile is None else Submitter(profile, span_in(None))


def adopt(context: otel_context.Context | None) -> None:
    """Put a span that is not ours into the profile that encloses it.

    A span that the sampler dropped, that another provider made, or that is
    wrapped in an object of another class never came by our processor. Where it
    becomes current below a span of ours in the same trace, what runs under it is
    part of that profile.

    Args:
        context: A context that is about to be attached, with a span that has no
            profile. None is no context, and is attached all the same where there is
            no propagator to make one.
    """
    span: Any = None if context is None else context.get(SPAN_KEY)
    if span is None:
        return
    span_context = span.get_span_context()
    if not span_context.is_valid or span_context.is_remote:
        return
    current = CURRENT.get(None)
    enclosing: Any = None if current is None else current.get(SPAN_KEY)
    if enclosing is None or enclosing.get_span_context().trace_id != span_context.trace_id:
        return
    profile = _profile_under(enclosing)
    if profile is not None:
        # An object that takes no attribute of ours has no profile then.
        with contextlib.suppress(AttributeError):
            put_span_in(span, profile)
