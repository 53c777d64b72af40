"""Counts what is left after very many requests: labels, objects and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.overhead import child
from benchmarks.overhead.set_up import VARIANTS
from benchmarks.overhead.sink import Sink
from benchmarks.overhead.table import table

if TYPE_CHECKING:
    from benchmarks.overhead.options import Options

_MEBIBYTE = 1024 * 1024

Results = dict[str, list[dict[str, Any]]]
"""The checkpoints of each variant."""


def measure(options: Options) -> Results:
    """Run each variant once, as this part counts and does not time."""
    results = {}
    for variant in options.variants(VARIANTS):
        options.say(f"soak: {VARIANTS[variant]}")
        with Sink() as sink:
            setting = options.setting(variant, sink.address) | {"requests": options.requests}
            results[variant] = child.run("soak_process", setting, timeout=1800)
    return results


def show(results: Results) -> str:
    """Return the table, with a row for each checkpoint of each variant."""
    heads = ["variant", "requests", "labels left", "on threads", "calls of the agent"]
    heads += ["numbers", "in use", "after s", "objects", "garbage in cycles", "resident MiB"]
    rows = []
    for variant, checkpoints in results.items():
        for one in checkpoints:
            by_key = ", ".join(f"{count} {key}" for key, count in sorted(one["labels"].items()))
            row = [VARIANTS[variant], f"{one['requests']}", by_key or "0", f"{one['threads']}"]
            row += [f"{one['calls']}", *_numbers(one), f"{one['objects']}", f"{one['garbage']}"]
            rows.append([*row, f"{one['resident'] / _MEBIBYTE:.1f}"])
    return table(heads, rows)


def _numbers(checkpoint: dict[str, Any]) -> list[str]:
    """Return the numbers in total, those in use, and the seconds until that was so."""
    if checkpoint["numbers"] is None:
        return ["-"] * 3
    made, free, seconds = checkpoint["numbers"]
    return [f"{made}", f"{made - free}", f"{seconds:.1f}"]
