"""Threads, locks and waiting of the operating system, regardless of monkey patching.

gevent and eventlet replace functions in `_thread`, `select` and `time` by greenlet versions.
The relay's threads are OS threads and must run while a greenlet blocks. A second instance of
each module, kept out of `sys.modules`, has the originals. (Neither patches `_socket`.)
"""

from __future__ import annotations

import contextlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("TIMEOUT_MAX", "Signal", "allocate_lock", "select", "sleep", "start_thread")


def _second_instance(name: str) -> Any:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:  # pragma: no cover
        raise ImportError(f"this Python has no module {name}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_thread = _second_instance("_thread")

allocate_lock: Callable[[], Any] = _thread.allocate_lock
TIMEOUT_MAX: float = _thread.TIMEOUT_MAX
"""The longest possible wait, in seconds."""
start_thread: Callable[[Callable[..., object], tuple[Any, ...]], int] = _thread.start_new_thread
"""Starts an OS thread that does not keep the process alive.

It raises RuntimeError where no thread can start: in uWSGI without threads, or at interpreter
exit (from CPython 3.12 on).
"""
select = _second_instance("select")
"""The module `select`."""
sleep: Callable[[float], None] = _second_instance("time").sleep


class Signal:
    """A flag that one thread waits for and others set."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the waiting thread, or the next one that waits."""
        with contextlib.suppress(RuntimeError):  # already set
            self._lock.release()

    def wait(self, timeout: float) -> bool:
        """Wait up to this many seconds. Return whether it was set, and reset it."""
        return bool(self._lock.acquire(True, max(0.0, timeout)))  # noqa: FBT003  positional only

    def stays_set(self, timeout: float) -> bool:
        """Wait like `wait`, but do not reset it. For events that happen once."""
        is_set = self.wait(timeout)
        if is_set:
            self.set()
        return is_set
