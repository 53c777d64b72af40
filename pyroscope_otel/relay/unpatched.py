"""Threads, locks and waiting of the operating system, whatever has been patched.

gevent and eventlet replace the functions of `_thread`, `select` and `time` by ones for
greenlets. The relay's threads are the operating system's, and must go on while a
greenlet blocks. A second instance of such a module, which does not go into
`sys.modules`, has the originals. (`_socket` is patched by neither.)
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
"""The longest time that can be waited for, in seconds."""
start_thread: Callable[[Callable[..., object], tuple[Any, ...]], int] = _thread.start_new_thread
"""Starts an OS thread that does not keep the process alive.

It raises RuntimeError where there can be none: uWSGI without threads, or at the
interpreter's end (from CPython 3.12 on).
"""
select = _second_instance("select")
"""The module `select`."""
sleep: Callable[[float], None] = _second_instance("time").sleep


class Signal:
    """What a thread waits for and others set."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the thread that waits, or that will wait next."""
        with contextlib.suppress(RuntimeError):  # set already
            self._lock.release()

    def wait(self, timeout: float) -> bool:
        """Wait for at most this many seconds; return whether it was set. It is reset then."""
        return bool(self._lock.acquire(True, max(0.0, timeout)))  # noqa: FBT003  positional only

    def stays_set(self, timeout: float) -> bool:
        """Wait like `wait`, for what happens once: it is not reset."""
        is_set = self.wait(timeout)
        if is_set:
            self.set()
        return is_set
