"""A measured process of `soak`: serves many requests on short-lived threads."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyroscope
from opentelemetry import context, trace

from benchmarks.overhead.child import report, setting_of
from benchmarks.overhead.served import Served
from benchmarks.overhead.set_up import trace_spans

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_BATCH = 50  # requests that a thread serves, or a loop at once
_NUMBERS_SECONDS = 15.0
_CHECKPOINTS = (0.1, 0.5, 1.0)


class Recorder:
    """Wraps the agent's label functions, and records which labels each thread has.

    The agent identifies a thread by its ident, which a later thread may reuse. So does this.
    """

    def __init__(self) -> None:
        self.labels: dict[int, set[tuple[str, str]]] = {}
        self.calls = 0
        self._add, self._remove = pyroscope.add_thread_tag, pyroscope.remove_thread_tag
        pyroscope.add_thread_tag, pyroscope.remove_thread_tag = self.add, self.remove

    def add(self, key: str, value: str) -> bool:
        """Pass a label on, and record it."""
        self.calls += 1
        taken = self._add(key, value)
        if taken:  # The agent accepts none before it runs.
            self.labels.setdefault(threading.get_ident(), set()).add((key, value))
        return taken

    def remove(self, key: str, value: str) -> bool:
        """Record the removal of a label, and pass it on."""
        self.calls += 1
        labels = self.labels.get(threading.get_ident())
        if labels is not None:
            labels.discard((key, value))
            if not labels:
                del self.labels[threading.get_ident()]
        return self._remove(key, value)

    def left(self) -> dict[str, int]:
        """Return the number of labels that are left, by key."""
        return Counter(key for labels in self.labels.values() for key, _ in labels)


class Requests:
    """Serves requests as applications do, without a server.

    Args:
        tracer: Makes the spans.
        served: Serves every other request through a middleware.
    """

    def __init__(self, tracer: Tracer, served: Served) -> None:
        self._tracer = tracer
        self._served = served

    def on_thread(self) -> None:
        """Serve a batch on a thread that ends in the middle of the last request."""
        thread = threading.Thread(target=self._on_thread)
        thread.start()
        thread.join()

    def _on_thread(self) -> None:
        # The pools' workers are short-lived threads too.
        with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as lingering:
            over = threading.Event()

            def serve(number: int) -> None:
                self._rename(number)
                pool.submit(int).result()
                if number == 0:
                    lingering.submit(over.wait)  # Outlives its request.

            for number in range(_BATCH - 1):
                if number % 2:
                    self._served.wsgi(partial(serve, number))
                else:
                    with self._tracer.start_as_current_span("GET"):
                        serve(number)
            over.set()
        # This span is never ended: the thread exits with its labels set.
        context.attach(trace.set_span_in_context(self._tracer.start_span("GET")))

    def on_loop(self) -> None:
        """Serve a batch concurrently, in tasks of one event loop."""

        async def serve(number: int) -> None:
            self._rename(number)
            await asyncio.sleep(0)
            with self._tracer.start_as_current_span("child"):
                await asyncio.sleep(0)

        async def serve_by_hand(number: int) -> None:
            with self._tracer.start_as_current_span("GET"):
                await serve(number)

        async def serve_all() -> None:
            await asyncio.gather(
                *(
                    self._served.asgi(partial(serve, number))
                    if number % 2
                    else serve_by_hand(number)
                    for number in range(_BATCH)
                )
            )

        asyncio.run(serve_all())

    def _rename(self, number: int) -> None:
        # Frameworks do this once they know the route.
        trace.get_current_span().update_name(f"GET /items/{number % 7}")


def numbers_left() -> tuple[int, int, float] | None:
    """Return the final count of numbers, how many are free, and how long it took to free them.

    A number is not reused until its samples are uploaded, and the agent uploads nothing if it
    has no samples. So this burns CPU time while it waits. Returns None if there are no numbers.
    """
    marks = sys.modules.get("pyroscope_otel.link.marks")
    if marks is None:
        return None
    begin = time.monotonic()
    while True:
        made, free = marks.MARKS.count()
        seconds = time.monotonic() - begin
        if made == free or seconds > _NUMBERS_SECONDS:
            return made, free, seconds
        _burn_for_a_moment()


def _burn_for_a_moment() -> None:
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        import resource

        return int(statm.read_text().split()[1]) * resource.getpagesize()
    import os

    out = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(os.getpid())],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return int(out) * 1024


def main() -> None:
    """Report labels, objects, garbage and memory at each checkpoint."""
    setting = setting_of(sys.argv)
    recorder = Recorder()
    provider = trace_spans()
    served = Served(setting, provider)
    requests = Requests(provider.get_tracer("overhead"), served)
    garbage = 0

    def count_garbage(phase: str, info: dict[str, int]) -> None:
        nonlocal garbage
        if phase == "stop":
            garbage += info["collected"]

    requests.on_thread()
    requests.on_loop()
    gc.collect()
    gc.callbacks.append(count_garbage)
    checkpoints: list[dict[str, Any]] = []
    done, total = 0, setting["requests"]
    for share in _CHECKPOINTS:
        while done < total * share:
            requests.on_thread()
            requests.on_loop()
            done += 2 * _BATCH
        gc.collect()
        checkpoints.append(
            {
                "requests": done,
                "numbers": numbers_left(),
                "labels": recorder.left(),
                "threads": len(recorder.labels),
                "calls": recorder.calls,
                "objects": len(gc.get_objects()),
                "garbage": garbage,
                "resident": resident_bytes(),
            }
        )
    report(checkpoints)


if __name__ == "__main__":
    main()
