"""The command line: `python -m benchmarks.outage`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.attribution.installed import InstallError
from benchmarks.attribution.run import PACKAGES, SAMPLERS, Package
from benchmarks.attribution.server import ServerError
from benchmarks.outage.run import Outcome, run
from benchmarks.outage.scenarios import SCENARIOS
from benchmarks.overhead.table import table

_DESCRIPTION = """
Measures how much is lost during an outage of the Pyroscope server. FastAPI runs under uvicorn,
requests arrive all the time, and the server stops gracefully at the end. A second is lost if no
profile of it arrived.
"""
_COMPARED: tuple[Package, ...] = ("old", "ours")


def main() -> int:
    """Measure, print a table, and return the exit status: 1 if an application failed."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rows: list[list[str]] = []
    results: list[dict[str, object]] = []
    failures = 0
    for key in options.scenario:
        scenario = SCENARIOS[key].divided(by=options.faster)
        for package in options.package:
            print(f"{scenario.name}, {PACKAGES[package]} ...", file=sys.stderr, flush=True)
            try:
                outcome = run(scenario, package, options.upload_interval, options.sampler)
            except (InstallError, ServerError) as error:
                failures += 1
                print(error, file=sys.stderr)
                continue
            rows.append([scenario.name, PACKAGES[package], *_cells(outcome)])
            results.append({"scenario": key, "package": package} | asdict(outcome))
            if options.json:
                options.json.write_text(json.dumps(results, indent=1))
    heads = ["the server", "package", "lost s", "of s", "requests without a sample", "of"]
    heads += ["linked %", "failed requests", "slowest before s", "slowest since s", "exit s"]
    print(table([*heads, "tracebacks"], rows))
    return 1 if failures else 0


def _cells(outcome: Outcome) -> list[str]:
    linked = f"{100 * outcome.linked / outcome.samples:.1f}" if outcome.samples else "-"
    return [
        f"{outcome.lost:.1f}",
        f"{outcome.seconds:.1f}",
        f"{outcome.without}",
        f"{outcome.requests}",
        linked,
        f"{outcome.failures}",
        f"{outcome.slowest_before:.2f}",
        f"{outcome.slowest:.2f}",
        "killed" if outcome.exit is None else f"{outcome.exit:.1f}",
        f"{outcome.tracebacks}",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outage", description=_DESCRIPTION)
    parser.add_argument(
        "--scenario", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="default: all"
    )
    parser.add_argument(
        "--package",
        nargs="+",
        choices=PACKAGES,
        default=list(_COMPARED),
        help="as in benchmarks.attribution (default: old, which is the agent alone, and ours)",
    )
    parser.add_argument("--sampler", choices=SAMPLERS, default="auto")
    parser.add_argument(
        "--upload-interval",
        type=int,
        default=2,
        metavar="SECONDS",
        help="seconds between two pushes of the agent (default: 2)",
    )
    parser.add_argument(
        "--faster",
        type=float,
        default=1.0,
        metavar="TIMES",
        help="run the scenarios in less time, as a test",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
