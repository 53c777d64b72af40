"""Follows greenlets (gevent, eventlet, SQLAlchemy's asyncio extension)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from pyroscope_otel.following.hook import Hook
from pyroscope_otel.link import failure, thread_labels
from pyroscope_otel.link.state import STATE
from pyroscope_otel.link.switch import follow_current

if TYPE_CHECKING:
    from collections.abc import Callable


_SWITCHES = ("switch", "throw")
"""The events that greenlet documents. Their arguments are the two greenlets."""


class Greenlets(Hook):
    """Traces greenlet switches with `greenlet.settrace`.

    A trace function belongs to one OS thread. It is set when a thread is about to carry a label,
    and again if another tool has replaced it. It removes itself once no greenlet of the thread
    has a label or may need one.
    """

    module = "greenlet"

    def __init__(self) -> None:
        super().__init__()
        self._thread = thread_labels.os_thread_local()
        self._greenlet: Any = None
        self._has_ended: Callable[[object], bool] = bool

    def _install(self) -> None:
        import greenlet

        self._greenlet = greenlet
        # gevent's own `dead` must not be called in a trace function.
        self._has_ended = greenlet.greenlet.dead.__get__
        STATE.current_greenlet = greenlet.getcurrent
        thread_labels.require(self._trace_this_thread, for_nobody=True)
        # A thread that already carries labels would not be asked.
        thread_labels.forget()

    def _remove(self) -> None:
        STATE.current_greenlet = None
        thread_labels.require_no_longer(self._trace_this_thread)
        tracer = getattr(self._thread, "tracer", None)
        if tracer is not None:
            tracer.step_out()

    def _trace_this_thread(self) -> bool:
        tracer = self._greenlet.gettrace()
        if tracer is None or tracer is not getattr(self._thread, "tracer", None):
            # A tool that replaced our tracer, and has gone, has restored it. Adding another one
            # each time would make the chain grow.
            is_ours = isinstance(tracer, _Tracer) and tracer.is_of(self)
            self._thread.tracer = tracer if is_ours else _Tracer(self)
        return True

    @property
    def library(self) -> Any:
        """The module `greenlet`."""
        return self._greenlet

    def follow_switch(self, tracer: _Tracer, origin: object, target: object) -> None:
        """Update the running thread's label after a switch between two greenlets.

        Optimization: code that runs through a mark needs no label, and its switches then cost
        nothing. Otherwise the two switches of a `gevent.sleep(0)` cost 3 µs (CPython 3.11).

        Args:
            tracer: The trace function that was called.
            origin: The greenlet that is suspended.
            target: The running greenlet.
        """
        thread = thread_labels.this_thread()
        if STATE.labels_only:
            follow_current(thread)
            return
        known = self._known()
        # Greenlets can share a context, so one that resumes with a label can change what any
        # other one needs.
        had_label = thread.labels is not None
        any_labelled = had_label or bool(known.labelled)
        if self._has_ended(origin):
            known.doubtful.discard(origin)
        elif any_labelled:
            known.doubtful.add(origin)
            if had_label:
                known.labelled.add(origin)
        known.labelled.discard(target)
        if not any_labelled and target not in known.doubtful:
            if not known.doubtful:
                tracer.step_out()
            return
        follow_current(thread)
        if not any_labelled and thread.labels is None:
            known.doubtful.discard(target)

    def _known(self) -> _Known:
        """Return what is known of the running thread's greenlets."""
        try:
            known: _Known = self._thread.known
        except AttributeError:
            known = self._thread.known = _Known()
        return known


class _Known:
    """What is known of one OS thread's greenlets.

    Attributes:
        labelled: Those that were suspended while the thread had a label.
        doubtful: Those that may need a label when they are next resumed.
    """

    __slots__ = ("doubtful", "labelled")

    def __init__(self) -> None:
        self.labelled: WeakSet[object] = WeakSet()
        self.doubtful: WeakSet[object] = WeakSet()


class _Tracer:
    """The trace function of one OS thread. It also calls the previous one."""

    __slots__ = ("_hook", "_previous")

    def __init__(self, hook: Greenlets) -> None:
        self._hook = hook
        self._previous: Callable[..., Any] | None = hook.library.settrace(self)

    def is_of(self, hook: Greenlets) -> bool:
        """Return whether this tracer belongs to a hook."""
        return self._hook is hook

    def __call__(self, event: str, args: Any) -> None:
        # Called in the context of the greenlet that is switched to. A tool that replaced us may
        # still call us below a newer tracer of ours. Nothing is left to do then. (The thread's
        # record is not stored here, because a tool may restore us on another thread.)
        if not self._hook.active:
            self.step_out()
        elif event in _SWITCHES:
            try:
                self._hook.follow_switch(self, *args)
            except Exception:
                failure.report("follow a greenlet")
        if self._previous is not None:
            self._previous(event, args)

    def step_out(self) -> None:
        """Restore the previous trace function, unless another tool has set its own since."""
        if self._hook.library.gettrace() is self:
            self._hook.library.settrace(self._previous)
