"""A measured process of `micro`: times the cases of one group under one variant."""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from benchmarks.overhead.child import report, setting_of
from benchmarks.overhead.served import Served
from benchmarks.overhead.set_up import trace_spans

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from opentelemetry.trace import Tracer

    Case = Callable[[int], int]
    """Runs an event this many times, and returns the nanoseconds that it took."""


class Cases:
    """The cases, by group. A group imports only what it needs.

    Cases run in requests: either with a root span that was made current by hand, or served by
    an application. One process never does both, as the first installs hooks that the second
    does without.

    Args:
        tracer: Makes the root spans by hand.
        served: Serves requests.
        is_served: Whether requests are served, rather than made by hand.
    """

    def __init__(self, tracer: Tracer, served: Served, *, is_served: bool) -> None:
        self._tracer = tracer
        self._served = served
        self._request = served.wsgi if is_served else self._by_hand
        self._request_async = served.asgi if is_served else self._by_hand_async
        self._is_served = is_served

    def of_group(self, group: str) -> dict[str, Case]:
        """Return the cases of a group: `threads`, `asyncio`, `uvloop` or `gevent`."""
        return getattr(self, "_" + group)()

    def warm_up(self) -> None:
        """Start the agent, as the first root span does, and install the hooks."""
        self._request(int)

    def _by_hand(self, work: Callable[[], Any]) -> Any:
        with self._tracer.start_as_current_span("GET /case"):
            return work()

    async def _by_hand_async(self, work: Callable[[], Awaitable[Any]]) -> Any:
        with self._tracer.start_as_current_span("GET /case"):
            return await work()

    def _threads(self) -> dict[str, Case]:
        return {
            "root": self._wsgi_requests if self._is_served else self._spans,
            "child span": lambda count: self._request(partial(self._spans, count)),
            "job": lambda count: self._request(partial(_jobs, count)),
            "job on one CPU": on_one_cpu(lambda count: self._request(partial(_jobs, count))),
        }

    def _spans(self, count: int) -> int:
        start = self._tracer.start_as_current_span
        begin = perf_counter_ns()
        for _ in range(count):
            with start("GET /case"):
                pass
        return perf_counter_ns() - begin

    def _wsgi_requests(self, count: int) -> int:
        begin = perf_counter_ns()
        for _ in range(count):
            self._served.wsgi(int)
        return perf_counter_ns() - begin

    def _asyncio(self) -> dict[str, Case]:
        cases = self._steps(asyncio.new_event_loop()) | {
            "to_thread": self._to_thread,
            "to_thread on one CPU": on_one_cpu(self._to_thread),
        }
        if self._is_served:
            cases["root"] = lambda count: self._run(self._asgi_requests(count))
        return cases

    def _uvloop(self) -> dict[str, Case]:
        import uvloop

        return self._steps(uvloop.new_event_loop())

    def _steps(self, loop: asyncio.AbstractEventLoop) -> dict[str, Case]:
        self._loop = loop
        return {
            "step": lambda count: self._run(self._request_async(partial(_sleeps, count))),
            "step outside": lambda count: self._run(_sleeps(count)),
        }

    async def _asgi_requests(self, count: int) -> int:
        begin = perf_counter_ns()
        for _ in range(count):
            await self._served.asgi(_nothing)
        return perf_counter_ns() - begin

    def _run(self, coroutine: Coroutine[Any, Any, int]) -> int:
        return self._loop.run_until_complete(coroutine)

    def _to_thread(self, count: int) -> int:
        # A new loop starts its threads with the CPU affinity that this thread has now.
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(self._request_async(partial(_hops, count)))
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def _gevent(self) -> dict[str, Case]:
        import gevent

        def both(request: Callable[..., Any], count: int) -> int:
            begins: list[int] = []
            ends: list[int] = []

            def sleeps() -> None:
                begins.append(0)
                while len(begins) < 2:
                    gevent.sleep(0)
                begins.append(perf_counter_ns())
                for _ in range(count // 2):
                    gevent.sleep(0)
                ends.append(perf_counter_ns())

            gevent.joinall([gevent.spawn(request, sleeps) for _ in range(2)], raise_error=True)
            return min(ends) - max(begins)

        return {
            "sleep": partial(both, self._request),
            "sleep outside": partial(both, lambda work: work()),
        }


def _jobs(count: int) -> int:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        begin = perf_counter_ns()
        for _ in range(count):
            pool.submit(int).result()
        return perf_counter_ns() - begin


async def _sleeps(count: int) -> int:
    begin = perf_counter_ns()
    for _ in range(count):
        await asyncio.sleep(0)
    return perf_counter_ns() - begin


async def _hops(count: int) -> int:
    await asyncio.to_thread(int)
    begin = perf_counter_ns()
    for _ in range(count):
        await asyncio.to_thread(int)
    return perf_counter_ns() - begin


async def _nothing() -> None:
    pass


def on_one_cpu(case: Case) -> Case:
    """Return the case with its threads on one CPU, if the system supports that.

    Otherwise, most of the measured time is that to wake a thread on another CPU.
    """

    def run(count: int) -> int:
        if not hasattr(os, "sched_setaffinity"):
            return case(count)
        allowed = os.sched_getaffinity(0)
        # Applies to this thread and to the threads that it starts.
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
    served = Served(setting, provider)
    tracer = provider.get_tracer("overhead")
    group = Cases(tracer, served, is_served=setting["served"])
    group.warm_up()
    cases = group.of_group(setting["group"])
    for case in cases.values():
        case(setting["count"])
    durations: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(setting["batches"]):
        # In turns, so that a disturbance hits a batch of each case.
        for name, case in cases.items():
            durations[name].append(case(setting["count"]) / setting["count"] / 1000)
    report({name: median(values) for name, values in durations.items()})


if __name__ == "__main__":
    main()
