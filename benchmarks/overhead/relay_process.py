"""A measured process of `relay`, busy on changing stacks. Reports the CPU time of threads."""

from __future__ import annotations

import random
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.overhead.child import report, setting_of
from benchmarks.overhead.served import Served
from benchmarks.overhead.set_up import trace_spans
from pyroscope_otel import relay
from pyroscope_otel.relay import unpatched

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_FUNCTIONS = 300
_FRAMES = 40
_OTHER_FRAMES = 17  # of the middleware and of the application
_SECONDS_PER_STACK = 0.01  # one sampling period of the agent
_SOURCE = """
def step_{number}(path, index, end):
    if index < len(path):
        path[index](path, index + 1, end)
    else:
        while monotonic() < end:
            pass
"""


class RelayThreads:
    """Counts the CPU time of the threads that the relay starts."""

    def __init__(self) -> None:
        self._ended = 0.0
        self._running: set[int] = set()
        self._lock = threading.Lock()
        self._start = unpatched.start_thread
        unpatched.start_thread = self._start_counted

    def _start_counted(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> int:
        return self._start(self._run, (function, arguments))

    def _run(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        with self._lock:
            self._running.add(threading.get_ident())
        try:
            function(*arguments)
        finally:
            # Under the lock, as the clock of a thread that has ended must not be read.
            with self._lock:
                self._ended += time.thread_time()
                self._running.discard(threading.get_ident())

    def seconds(self) -> float:
        """Return the CPU time of all of them so far."""
        with self._lock:
            clocks = map(time.pthread_getcpuclockid, self._running)
            return self._ended + sum(map(time.clock_gettime, clocks))


def _functions() -> list[Callable[..., None]]:
    namespace: dict[str, Any] = {"monotonic": time.monotonic}
    for number in range(_FUNCTIONS):
        source = _SOURCE.format(number=number)
        exec(compile(source, f"steps_{number % 30}.py", "exec"), namespace)  # noqa: S102 ours
    return [namespace[f"step_{number}"] for number in range(_FUNCTIONS)]


def _burn_along(path: Sequence[Callable[..., None]]) -> None:
    path[0](path, 1, time.monotonic() + _SECONDS_PER_STACK)


def main() -> None:
    """Report the CPU time of the relay's threads, and of the agent's."""
    setting = setting_of(sys.argv)
    threads = RelayThreads()
    served = Served(setting, trace_spans())
    functions = _functions()
    choose = random.Random(1).choices  # noqa: S311 no secret
    begin, relay_before = time.monotonic(), threads.seconds()
    cpu_before, main_before = time.process_time(), time.thread_time()
    while time.monotonic() - begin < setting["seconds"]:
        served.wsgi(partial(_burn_along, choose(functions, k=_FRAMES - _OTHER_FRAMES)))
    seconds = time.monotonic() - begin
    of_relay = threads.seconds() - relay_before
    of_main = time.thread_time() - main_before
    state = relay.state()
    report(
        {
            "seconds": seconds,
            "relay": of_relay,
            "agent": time.process_time() - cpu_before - of_main - of_relay,
            "taken": state.taken,
            "sent": state.sent,
            "untranslated": state.untranslated,
        }
    )


if __name__ == "__main__":
    main()
