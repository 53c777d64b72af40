"""A measured process of `micro`: times the cases of one group under one variant."""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from benchmarks.overhead.child import report, setting_of
from benchmarks.overhead.set_up import profile_by_hand, trace_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Tracer

    Case = Callable[[int], int]
    """Does something so many times and returns the nanoseconds that it took."""


class Cases:
    """The cases, by group. A group imports what it needs and nothing else.

    Args:
        tracer: Makes the requests' root spans.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def of_group(self, group: str) -> dict[str, Case]:
        """Return the cases of a group: `threads`, `asyncio`, `uvloop` or `gevent`."""
        return getattr(self, "_" + group)()

    def _request(self, *, inside: bool) -> AbstractContextManager[Any]:
        return self._tracer.start_as_current_span("GET /case") if inside else nullcontext()

    def _threads(self) -> dict[str, Case]:
        return {
            "root span": self._root_spans,
            "child span": self._child_spans,
            "job": self._jobs,
            "job on one CPU": on_one_cpu(self._jobs),
        }

    def _root_spans(self, count: int) -> int:
        start = self._tracer.start_as_current_span
        begin = perf_counter_ns()
        for _ in range(count):
            with start("GET /case"):
                pass
        return perf_counter_ns() - begin

    def _child_spans(self, count: int) -> int:
        with self._request(inside=True):
            return self._root_spans(count)

    def _jobs(self, count: int) -> int:
        with ThreadPoolExecutor(1) as pool, self._request(inside=True):
            pool.submit(int).result()
            begin = perf_counter_ns()
            for _ in range(count):
                pool.submit(int).result()
            return perf_counter_ns() - begin

    def _asyncio(self) -> dict[str, Case]:
        return self._steps(asyncio.new_event_loop()) | {
            "to_thread": self._to_thread,
            "to_thread on one CPU": on_one_cpu(self._to_thread),
        }

    def _uvloop(self) -> dict[str, Case]:
        import uvloop

        return self._steps(uvloop.new_event_loop())

    def _steps(self, loop: asyncio.AbstractEventLoop) -> dict[str, Case]:
        self._loop = loop

        async def steps(count: int, *, inside: bool) -> int:
            with self._request(inside=inside):
                begin = perf_counter_ns()
                for _ in range(count):
                    await asyncio.sleep(0)
                return perf_counter_ns() - begin

        return {
            "step inside": lambda count: self._run(steps(count, inside=True)),
            "step outside": lambda count: self._run(steps(count, inside=False)),
        }

    def _run(self, coroutine: Coroutine[Any, Any, int]) -> int:
        return self._loop.run_until_complete(coroutine)

    def _to_thread(self, count: int) -> int:
        async def hops() -> int:
            with self._request(inside=True):
                await asyncio.to_thread(int)
                begin = perf_counter_ns()
                for _ in range(count):
                    await asyncio.to_thread(int)
                return perf_counter_ns() - begin

        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(hops())
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def _gevent(self) -> dict[str, Case]:
        import gevent

        def sleeps(count: int, *, inside: bool) -> None:
            with self._request(inside=inside):
                for _ in range(count // 2):
                    gevent.sleep(0)

        def both(count: int, *, inside: bool) -> int:
            begin = perf_counter_ns()
            gevent.joinall([gevent.spawn(sleeps, count, inside=inside) for _ in range(2)])
            return perf_counter_ns() - begin

        return {
            "sleep inside": lambda count: both(count, inside=True),
            "sleep outside": lambda count: both(count, inside=False),
        }


def on_one_cpu(case: Case) -> Case:
    """Return the case with its threads on one CPU, where the system can do that.

    Otherwise waking a thread on another CPU is most of what is measured.
    """

    def run(count: int) -> int:
        if not hasattr(os, "sched_setaffinity"):
            return case(count)
        allowed = os.sched_getaffinity(0)
        # Of this thread, and of those that it starts.
        os.sched_setaffinity(0, {max(allowed)})
        try:
            return case(count)
        finally:
            os.sched_setaffinity(0, allowed)

    return run


def main() -> None:
    """Report the median duration of each case, in microseconds."""
    setting = setting_of(sys.argv)
    provider = trace_spans()
    profile_by_hand(setting, provider)
    tracer = provider.get_tracer("overhead")
    cases = Cases(tracer).of_group(setting["group"])
    with tracer.start_as_current_span("warm-up"):
        pass  # Some hooks are put in when a thread gets its first labels.
    for case in cases.values():
        case(setting["count"])
    durations: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(setting["batches"]):
        # In turns, so that a bad moment of the machine hits a batch of each.
        for name, case in cases.items():
            durations[name].append(case(setting["count"]) / setting["count"] / 1000)
    report({name: median(values) for name, values in durations.items()})


if __name__ == "__main__":
    main()
