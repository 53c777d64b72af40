"""Follows greenlets (gevent, eventlet, SQLAlchemy's asyncio extension)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroscope_otel.following.hook import Hook
from pyroscope_otel.link import thread_labels
from pyroscope_otel.link.state import STATE
from pyroscope_otel.link.switch import follow_current

if TYPE_CHECKING:
    from collections.abc import Callable


class Greenlets(Hook):
    """Traces greenlet switches with `greenlet.settrace`.

    A trace function belongs to one OS thread. It is set when a thread is about to carry labels
    for the first time, and again if another tool has replaced it.
    """

    module = "greenlet"

    def __init__(self) -> None:
        super().__init__()
        self._thread = thread_labels.os_thread_local()
        self._greenlet: Any = None

    def _install(self) -> None:
        import greenlet

        self._greenlet = greenlet
        STATE.current_greenlet = greenlet.getcurrent
        thread_labels.require(self._trace_this_thread)
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
        if self._hook.active:
            follow_current()
        else:
            self.step_out()
        if self._previous is not None:
            self._previous(event, args)

    def step_out(self) -> None:
        """Restore the previous trace function, unless another tool has set its own since."""
        if self._hook.library.gettrace() is self:
            self._hook.library.settrace(self._previous)
