"""What remains after very many requests: labels, objects, memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.overhead import child
from benchmarks.overhead.sink import Sink
from benchmarks.overhead.table import table

if TYPE_CHECKING:
    from benchmarks.overhead.options import Options

VARIANTS = {"none": "tracing only", "released": "1.1.0", "hand": "ours"}
_MEBIBYTE = 1024 * 1024

Results = dict[str, list[dict[str, Any]]]
"""The checkpoints of each variant."""


def measure(options: Options) -> Results:
    """Measure each variant once: it is counted here, not timed."""
    results = {}
    for variant, name in VARIANTS.items():
        options.say(f"soak: {name}")
        with Sink() as sink:
            setting = {
                "variant": variant,
                "released": str(options.released),
                "server": sink.address,
                "requests": 5_000 if options.quick else 100_000,
            }
            results[variant] = child.run("soak_process", setting, timeout=1800)
    return results


def show(results: Results) -> str:
    """Return the table, a row for each checkpoint of each variant."""
    heads = ["variant", "requests", "labels left", "on threads", "calls of the agent"]
    heads += ["objects", "garbage in cycles", "resident MiB"]
    rows = []
    for variant, checkpoints in results.items():
        for one in checkpoints:
            by_key = ", ".join(f"{count} {key}" for key, count in sorted(one["labels"].items()))
            row = [VARIANTS[variant], f"{one['requests']}", by_key or "0", f"{one['threads']}"]
            row += [f"{one['calls']}", f"{one['objects']}", f"{one['garbage']}"]
            rows.append([*row, f"{one['resident'] / _MEBIBYTE:.1f}"])
    return table(heads, rows)
