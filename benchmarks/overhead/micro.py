"""Measures the cost of one event: a span, a step, a hop to a thread, a greenlet switch."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.overhead import child
from benchmarks.overhead.set_up import VARIANTS
from benchmarks.overhead.sink import Sink
from benchmarks.overhead.table import added, spread, table

if TYPE_CHECKING:
    from benchmarks.overhead.options import Options

# Group, case, title, and the bars in added microseconds: in a request with a root span that was
# made current by hand, and in a request served by our middleware or the instrumentation's.
_CASES = (
    ("threads", "root", "root span", "as 1.1.0", None),
    ("threads", "root", "WSGI request", None, "as 1.1.0"),
    ("asyncio", "root", "ASGI request", None, "as 1.1.0"),
    ("threads", "child span", "child span", "1.2", "1.2"),
    ("asyncio", "step", "asyncio step", "0.7", "0.7"),
    ("asyncio", "step outside", "asyncio step outside", "0.35", "0.35"),
    ("uvloop", "step", "uvloop step", "0.7", "0.7"),
    ("uvloop", "step outside", "uvloop step outside", "0.35", "0.35"),
    ("threads", "job on one CPU", "pool job, one CPU", "1.5", "1.5"),
    ("threads", "job", "pool job, several CPUs", "1.5", "1.5"),
    ("asyncio", "to_thread on one CPU", "to_thread hop, one CPU", "3", "3"),
    ("asyncio", "to_thread", "to_thread hop, several CPUs", "3", "3"),
    ("gevent", "sleep", "gevent.sleep(0), 2 switches", "-", "2 x 0.1"),
    ("gevent", "sleep outside", "gevent.sleep(0) outside, 2 switches", "-", "-"),
)

Results = dict[str, dict[str, list[float]]]
"""Microseconds of each round, by case ("group: case", with ", served") and variant."""


def measure(options: Options) -> Results:
    """Measure all variants, round by round."""
    results: Results = {}
    with Sink() as sink:
        for number in range(1, options.rounds + 1):
            for group in options.groups:
                options.say(f"micro: round {number}/{options.rounds}, {group}")
                for variant in options.variants(VARIANTS):
                    # By hand, the variant `middleware` would not differ.
                    for served in (True,) if variant == "middleware" else (False, True):
                        setting = options.setting(variant, sink.address) | {
                            "group": group,
                            "served": served,
                            "count": 200 if options.quick else 2000,
                            "batches": 5 if options.quick else 25,
                        }
                        durations = child.run("micro_process", setting, timeout=300)
                        for case, duration in durations.items():
                            of_case = results.setdefault(_key(group, case, served=served), {})
                            of_case.setdefault(variant, []).append(duration)
    return results


def _key(group: str, case: str, *, served: bool) -> str:
    return f"{group}: {case}{', served' if served else ''}"


def show(results: Results) -> str:
    """Return the table: microseconds, and how much 1.1.0 and ours add to tracing alone.

    "Least" is the smallest value of the rounds minus that of tracing alone. The bars apply to it.
    """
    variants = list(dict.fromkeys(name for of_case in results.values() for name in of_case))
    variants.remove("none")
    heads = ["µs", "tracing only", "min..max"]
    for variant in variants:
        heads += [f"{VARIANTS[variant]} adds", "min..max", "least"]
    rows = []
    for group, case, name, *bars in _CASES:
        for bar, served in zip(bars, (False, True), strict=True):
            of_case = results.get(_key(group, case, served=served))
            if bar is None or of_case is None:
                continue
            base = of_case["none"]
            row = [name + ", served" * served, f"{median(base):.2f}", spread(base)]
            for variant in variants:
                row += added(base, of_case[variant]) if variant in of_case else ["-"] * 3
            rows.append([*row, bar])
    return table([*heads, "bar"], rows)
