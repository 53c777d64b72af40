"""A measured process of `soak`: many requests, on threads that come and go."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyroscope
from opentelemetry import context, trace

from benchmarks.overhead.child import report, setting_of
from benchmarks.overhead.set_up import profile_by_hand, trace_spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Tracer

_BATCH = 50  # requests that a thread serves, or a loop at once
_CHECKPOINTS = (0.1, 0.5, 1.0)


class Recorder:
    """Stands in front of the agent and notes which labels it holds for which thread.

    The agent knows a thread by its ident, which the next thread may get: so do we.
    """

    def __init__(self) -> None:
        self.labels: dict[int, set[tuple[str, str]]] = {}
        self.calls = 0
        self._add, self._remove = pyroscope.add_thread_tag, pyroscope.remove_thread_tag
        pyroscope.add_thread_tag, pyroscope.remove_thread_tag = self.add, self.remove

    def add(self, key: str, value: str) -> bool:
        """Note a label, and pass it on."""
        self.calls += 1
        self.labels.setdefault(threading.get_ident(), set()).add((key, value))
        return self._add(key, value)

    def remove(self, key: str, value: str) -> bool:
        """Note that a label is gone, and pass it on."""
        self.calls += 1
        labels = self.labels.get(threading.get_ident())
        if labels is not None:
            labels.discard((key, value))
            if not labels:
                del self.labels[threading.get_ident()]
        return self._remove(key, value)

    def left(self) -> dict[str, int]:
        """Return how many labels are left, by key."""
        return Counter(key for labels in self.labels.values() for key, _ in labels)


class Requests:
    """Serves requests as applications do, without a server.

    Args:
        tracer: Makes their spans.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def on_thread(self) -> None:
        """Serve a batch on a thread that ends in the middle of the last request."""
        thread = threading.Thread(target=self._on_thread)
        thread.start()
        thread.join()

    def _on_thread(self) -> None:
        # The pool's worker is a thread that comes and goes, too.
        with ThreadPoolExecutor(1) as pool:
            for number in range(_BATCH - 1):
                with self._request(number):
                    pool.submit(int).result()
        # Nobody ends this one: the thread dies with its labels.
        context.attach(trace.set_span_in_context(self._tracer.start_span("GET")))

    def on_loop(self) -> None:
        """Serve a batch at once, in tasks of one event loop."""

        async def serve(number: int) -> None:
            with self._request(number):
                await asyncio.sleep(0)
                with self._tracer.start_as_current_span("child"):
                    await asyncio.sleep(0)

        async def serve_all() -> None:
            await asyncio.gather(*(serve(number) for number in range(_BATCH)))

        asyncio.run(serve_all())

    @contextmanager
    def _request(self, number: int) -> Iterator[None]:
        with self._tracer.start_as_current_span("GET") as span:
            # As frameworks do, once they know the route.
            span.update_name(f"GET /items/{number % 7}")
            yield


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
    profile_by_hand(setting, provider)
    requests = Requests(provider.get_tracer("overhead"))
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
    served, total = 0, setting["requests"]
    for share in _CHECKPOINTS:
        while served < total * share:
            requests.on_thread()
            requests.on_loop()
            served += 2 * _BATCH
        gc.collect()
        checkpoints.append(
            {
                "requests": served,
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
