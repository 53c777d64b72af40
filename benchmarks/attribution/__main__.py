"""The command line: `python -m benchmarks.attribution`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.attribution.bars import holds
from benchmarks.attribution.cases import SMALL_SELECTION, Case, select
from benchmarks.attribution.installed import InstallError
from benchmarks.attribution.measure import Attribution, measure
from benchmarks.attribution.report import amount, below_bars, percent, remarks, table
from benchmarks.attribution.run import COMPARED, PACKAGES, SAMPLERS, Package, reason_not_to
from benchmarks.attribution.server import ServerError

_DESCRIPTION = """
Measures how samples are attributed to requests, with real servers and the real agent. Each request
burns CPU time in a function of its own, in slices, between which other requests run. So the stack
of a sample says which request it belongs to, and its labels are compared with that:
precision = right / labelled, recall = right / all samples of requests.
"""
_EPILOG = f"""
What is measured by default takes about half an hour on two idle cores. --case '*' takes several
hours. The cases measured by default: {", ".join(SMALL_SELECTION)}. Where a sampler reads a stack
first and a thread's labels a moment later, samples are wrong whatever a package does with labels,
the more the shorter the turns are and the busier the machine: --package exact shows how many.
Behind a figure stands its bar, if there is one: 96.1 ≥ 95.
"""
_SLICES = (20.0, 2.0, 0.5, 0.1)


def main() -> int:
    """Measure, print a table, and return an exit status.

    It is 1 where a server failed or, with `--check`, a bar was not reached.
    """
    options = _parser().parse_args()
    # So that a server that runs is stopped, as it is after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # A shell's background job ignores Ctrl-C, and so would the servers started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        jobs = _jobs(options)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    if options.list:
        print(*dict.fromkeys(case.name for case, _, _ in jobs), sep="\n")
        return 0
    results: list[Attribution] = []
    failures = 0
    for number, (case, slice_ms, package) in enumerate(jobs, 1):
        what = f"[{number}/{len(jobs)}] {case.name}, {slice_ms:g} ms, {PACKAGES[package]}"
        print(f"{what} ...", end=" ", file=sys.stderr, flush=True)
        begin = time.monotonic()
        try:
            result = measure(case, package, slice_ms, options.seconds, sampler=options.sampler)
        except KeyboardInterrupt:
            failures += 1
            break
        except (InstallError, ServerError) as error:
            failures += 1
            print(f"failed: {error}", file=sys.stderr, flush=True)
            continue
        results.append(result)
        print(
            f"precision {percent(result.precision)}, recall {percent(result.recall)} "
            f"(of {amount(result)}, {time.monotonic() - begin:.1f} s) {remarks(result)}",
            file=sys.stderr,
            flush=True,
        )
        if options.json:
            options.json.write_text(json.dumps(_document(results), indent=1))
    print(table(results))
    below = below_bars(results)
    if below:
        print(f"\nBelow the bar:\n{below}")
    return 1 if failures or (options.check and below) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attribution", description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.add_argument(
        "--case",
        nargs="+",
        default=[],
        metavar="NAME",
        help="cases by name, or by the part behind the slash; * matches anything (default: "
        "a small selection)",
    )
    parser.add_argument(
        "--slice-ms",
        type=_slices,
        default=list(_SLICES),
        metavar="MS,...",
        help="how much CPU time a request burns before others may run (default: 20,2,0.5,0.1)",
    )
    parser.add_argument(
        "--package",
        nargs="+",
        choices=[*PACKAGES, "all"],
        default=["all"],
        help="old: the released 1.1.0; hand: our span processor added by hand, with the agent "
        "started by the application; direct: our middleware with attribution='thread'; ours: our "
        "middleware; zero: opentelemetry-instrument and environment variables; exact: labels put "
        "on right around the work, as good as labels get on this machine at this moment; all: "
        "all but the last (default)",
    )
    parser.add_argument(
        "--sampler",
        choices=SAMPLERS,
        default="auto",
        help="the setting cpu_implementation (default: auto, which by hand and for 1.1.0 is the "
        "agent's own default). Packages that go by labels of threads are left out with stack",
    )
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="CPU time per measurement (default: 4)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument(
        "--check", action="store_true", help="fail where precision or recall is below its bar"
    )
    parser.add_argument("--list", action="store_true", help="only list the cases")
    return parser


def _slices(text: str) -> list[float]:
    try:
        slices = [float(part) for part in text.split(",")]
    except ValueError:
        slices = [0.0]
    if min(slices) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of positive numbers")
    return slices


def _jobs(options: argparse.Namespace) -> list[tuple[Case, float, Package]]:
    packages = dict.fromkeys(options.package)
    if packages.pop("all", False) is None:
        packages |= dict.fromkeys(COMPARED)
    cells = []
    for case in select(options.case or list(SMALL_SELECTION)):
        for package in packages:
            reason = reason_not_to(case, package, options.sampler)
            if reason is None:
                cells.append((case, package))
            elif not options.list:
                print(f"not {case.name}, {PACKAGES[package]}: {reason}", file=sys.stderr)
    return [(case, slice_ms, package) for slice_ms in options.slice_ms for case, package in cells]


def _document(results: list[Attribution]) -> dict[str, object]:
    packages = ["pyroscope-io", "opentelemetry-sdk", "fastapi", "django", "flask", "celery"]
    packages += ["uvicorn", "gunicorn", "gevent", "hypercorn"]
    return {
        "python": sys.version.split()[0],
        "versions": {package: version(package) for package in packages},
        "results": [result.as_dict() | {"holds": holds(result)} for result in results],
    }


if __name__ == "__main__":
    sys.exit(main())
