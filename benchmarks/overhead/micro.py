"""What one event costs: a span, a step, a hop into a thread, a switch of greenlets."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.overhead import child
from benchmarks.overhead.sink import Sink
from benchmarks.overhead.table import added, spread, table

if TYPE_CHECKING:
    from benchmarks.overhead.options import Options

VARIANTS = ("none", "released", "hand")

# Group and case, what it is called, and the bar in microseconds (docs: the cost of
# following). For spans it is what 1.1.0 adds.
_CASES = {
    ("threads", "root span"): ("root span", "as 1.1.0"),
    ("threads", "child span"): ("child span", "as 1.1.0"),
    ("asyncio", "step inside"): ("asyncio step in a request", "1.5"),
    ("asyncio", "step outside"): ("asyncio step outside", "0.5"),
    ("uvloop", "step inside"): ("uvloop step in a request", "1.5"),
    ("uvloop", "step outside"): ("uvloop step outside", "0.5"),
    ("asyncio", "to_thread on one CPU"): ("to_thread hop in a request, one CPU", "5"),
    ("asyncio", "to_thread"): ("the same, on several", "5"),
    ("threads", "job on one CPU"): ("executor job in a request, one CPU", "5"),
    ("threads", "job"): ("the same, on several", "5"),
    ("gevent", "sleep inside"): ("gevent.sleep(0) in a request, 2 switches", "-"),
    ("gevent", "sleep outside"): ("gevent.sleep(0) outside, 2 switches", "2 x 0.5"),
}

Results = dict[str, dict[str, list[float]]]
"""Microseconds of each round, by case ("group: case") and variant."""


def measure(options: Options) -> Results:
    """Measure all variants, round by round."""
    groups = list(dict.fromkeys(group for group, _ in _CASES))
    results: Results = {}
    with Sink() as sink:
        for number in range(1, options.rounds + 1):
            for group in groups:
                options.say(f"micro: round {number}/{options.rounds}, {group}")
                for variant in VARIANTS:
                    setting = {
                        "variant": variant,
                        "released": str(options.released),
                        "server": sink.address,
                        "group": group,
                        "count": 500 if options.quick else 2000,
                        "batches": 7 if options.quick else 25,
                    }
                    durations = child.run("micro_process", setting, timeout=300)
                    for case, duration in durations.items():
                        of_case = results.setdefault(f"{group}: {case}", {})
                        of_case.setdefault(variant, []).append(duration)
    return results


def show(results: Results) -> str:
    """Return the table: microseconds, and what 1.1.0 and ours add to tracing alone."""
    heads = ["µs", "tracing only", "min..max"]
    for name in ("1.1.0", "ours"):
        heads += [f"{name} adds", "min..max", "least", "ratio"]
    rows = []
    for (group, case), (name, bar) in _CASES.items():
        of_case = results[f"{group}: {case}"]
        base = of_case["none"]
        row = [name, f"{median(base):.2f}", spread(base)]
        for variant in VARIANTS[1:]:
            row += added(base, of_case[variant])
        rows.append([*row, bar])
    return table([*heads, "bar"], rows)
