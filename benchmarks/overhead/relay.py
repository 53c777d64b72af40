"""Measures the relay's share of a core at 100 requests a second, each on its own stack."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.overhead import child
from benchmarks.overhead.table import spread, table
from pyroscope_otel.tools.receiver import Receiver

if TYPE_CHECKING:
    from benchmarks.overhead.options import Options
    from pyroscope_otel.pprof.pushes import PushedProfile

Results = list[dict[str, Any]]
"""The results of each round."""


def measure(options: Options) -> Results:
    """Profile a busy process, round by round."""
    results = []
    for number in range(1, min(options.rounds, 3) + 1):
        options.say(f"relay: round {number}")
        arrived: list[PushedProfile] = []
        with Receiver(arrived.extend) as receiver:
            setting = options.setting("middleware", receiver.url) | {
                "upload_interval": 2 if options.quick else 10,
                "seconds": 6 if options.quick else 41,
            }
            result = child.run("relay_process", setting, timeout=300)
        results.append(result | _what_arrived(arrived))
    return results


def _what_arrived(profiles: list[PushedProfile]) -> dict[str, Any]:
    samples = [
        sample
        for profile in profiles
        if profile.sample_type == "cpu"
        for sample in profile.samples
        if any(frame.function.startswith("step_") for frame in sample.stack)
    ]
    return {
        "stacks": len({(sample.stack, sample.label("span_id")) for sample in samples}),
        "frames": median([len(sample.stack) for sample in samples] or [0]),
        "linked": sum(sample.label("span_id") is not None for sample in samples),
        "rows": len(samples),
    }


def show(results: Results) -> str:
    """Return the table. The bar is 0.2 % of a core at 100 stacks of 40 frames a second."""
    seconds = [one["seconds"] for one in results]
    heads = ["", "median", "min..max", "bar"]
    rows = []
    for name, key, bar in (
        ("relay, % of a core", "relay", "0.2"),
        ("agent, % of a core", "agent", "-"),
    ):
        shares = [100 * one[key] / one["seconds"] for one in results]
        rows.append([name, f"{median(shares):.2f}", spread(shares), bar])
    for name, key in (("different stacks a second", "stacks"), ("linked rows a second", "linked")):
        rates = [one[key] / of for one, of in zip(results, seconds, strict=True)]
        rows.append([name, f"{median(rates):.0f}", spread(rates, 0), "-"])
    for name, key in (("frames of a stack", "frames"), ("pushes taken", "taken")):
        values = [one[key] for one in results]
        rows.append([name, f"{median(values):.0f}", spread(values, 0), "-"])
    return table(heads, rows)
