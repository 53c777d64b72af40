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
        concerned = self._concerned()
        had_label = thread.labels is not None
        if self._has_ended(origin):
            concerned.discard(origin)
        elif had_label:
            concerned.add(origin)
        if not (had_label or target in concerned):
            if not concerned:
                tracer.step_out()
            return
        follow_current(thread)
        if had_label or thread.labels is not None:
            # Two greenlets can share a context. Look once more when this one is next resumed.
            concerned.add(target)
        else:
            concerned.discard(target)

    def _concerned(self) -> WeakSet[object]:
        """Return the running thread's greenlets whose next switch may need a label."""
        try:
            concerned: WeakSet[object] = self._thread.concerned
        except AttributeError:
            concerned = self._thread.concerned = WeakSet()
        return concerned


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
