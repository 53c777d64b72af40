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
burns CPU time in a function of its own, in slices, and other requests run between the slices. So
the stack of a sample shows its request, and its labels are compared with that:
precision = right / labelled, recall = right / all samples of requests.
"""
_EPILOG = f"""
The default measurements take about half an hour on two idle cores, and --case '*' several hours.
The default cases are {", ".join(SMALL_SELECTION)}. A sampler that reads the stack first and the
thread labels a moment later gets some samples wrong, whatever a package does with labels. The
shorter the turns and the busier the machine, the more samples are wrong: --package exact shows how
many. If there is a bar for a figure, it follows the figure: 96.1 ≥ 95.
"""
_SLICES = (20.0, 2.0, 0.5, 0.1)


def main() -> int:
    """Measure, print a table, and return the exit status.

    The status is 1 if a server failed or, with `--check`, if a result is below its bar.
    """
    options = _parser().parse_args()
    # Stop a running server, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # In a shell's background job, Ctrl-C is ignored, and the servers would inherit that.
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
        help="cases by name, or by the part after the slash; * matches anything (default: "
        "a small selection)",
    )
    parser.add_argument(
        "--slice-ms",
        type=_slices,
        default=list(_SLICES),
        metavar="MS,...",
        help="CPU time that a request burns before it lets others run (default: 20,2,0.5,0.1)",
    )
    parser.add_argument(
        "--package",
        nargs="+",
        choices=[*PACKAGES, "all"],
        default=["all"],
        help="old: the released 1.1.0; hand: our span processor added by hand, with the agent "
        "started by the application; direct: our middleware with attribution='thread'; ours: our "
        "middleware; zero: opentelemetry-instrument and environment variables; exact: labels set "
        "right around the work, the best that labels can do on this machine at this moment; all: "
        "all except exact (default)",
    )
    parser.add_argument(
        "--sampler",
        choices=SAMPLERS,
        default="auto",
        help="the setting cpu_implementation (default: auto, which by hand and for 1.1.0 is the "
        "agent's own default). With stack, packages that depend on thread labels are skipped",
    )
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="CPU time per measurement (default: 4)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to FILE")
    parser.add_argument(
        "--check", action="store_true", help="fail if precision or recall is below its bar"
    )
    parser.add_argument("--list", action="store_true", help="only list the cases")
    return parser


def _slices(text: str) -> list[float]:
    try:
        slices = [float(part) for part in text.split(",")]
    except ValueError:
        slices = [0.0]
    if min(slices) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of positive numbers")
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
