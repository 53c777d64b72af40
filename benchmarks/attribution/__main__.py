"""The command line: `python -m benchmarks.attribution`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.attribution.cases import CASES, SMALL_SELECTION, Case, select
from benchmarks.attribution.measure import Attribution, measure
from benchmarks.attribution.report import percent, remarks, table
from benchmarks.attribution.run import COMPARED, PACKAGES, Package
from benchmarks.attribution.server import ServerError

_DESCRIPTION = """
Measures how samples are attributed to requests, with real servers and the real agent. Each request
burns CPU time in a function of its own, in slices, between which other requests run. So the stack
of a sample says which request it belongs to, and its labels are compared with that:
precision = right / labelled, recall = right / all samples of requests.
"""
_EPILOG = f"""
Everything at the default slice of 20 ms takes about half an hour on two idle cores. Slices of other
lengths are measured on {len(SMALL_SELECTION)} cases only, unless --case names others:
{", ".join(SMALL_SELECTION)}. The sampler itself lags, as it reads the stack first and the labels a
moment later: the shorter the slices and the busier the machine, the more samples are wrong whatever
a package does. --package exact shows how many.
"""
_DEFAULT_SLICE = 20.0


def main() -> int:
    """Measure, print a table, and return an exit status: 1 where a server failed."""
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
            result = measure(case, package, slice_ms, options.seconds)
        except KeyboardInterrupt:
            failures += 1
            break
        except ServerError as error:
            failures += 1
            print(f"failed: {error}", file=sys.stderr, flush=True)
            continue
        results.append(result)
        print(
            f"precision {percent(result.precision)}, recall {percent(result.recall)} "
            f"({result.samples} samples, {time.monotonic() - begin:.1f} s) {remarks(result)}",
            file=sys.stderr,
            flush=True,
        )
        if options.json:
            options.json.write_text(json.dumps(_document(results), indent=1))
    print(table(results))
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attribution", description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.add_argument(
        "--case",
        nargs="+",
        default=[],
        metavar="NAME",
        help="cases by name, or by the part behind the slash; * matches anything (default: all)",
    )
    parser.add_argument(
        "--slice-ms",
        type=_slices,
        default=[_DEFAULT_SLICE],
        metavar="MS,...",
        help="how much CPU time a request burns before others may run (default: 20)",
    )
    parser.add_argument(
        "--package",
        choices=[*PACKAGES, "all"],
        default="all",
        help="old: the released 1.1.0; hand: our span processor added by hand; ours: our "
        "middleware; exact: labels put on right around the work, as good as the sampler gets on "
        "this machine at this moment; all: the first three (default)",
    )
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="CPU time per measurement (default: 4)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
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
    packages = list(COMPARED) if options.package == "all" else [options.package]
    jobs = []
    for slice_ms in options.slice_ms:
        everywhere = slice_ms == _DEFAULT_SLICE
        names = options.case or (list(CASES) if everywhere else list(SMALL_SELECTION))
        jobs += [(case, slice_ms, package) for case in select(names) for package in packages]
    return jobs


def _document(results: list[Attribution]) -> dict[str, object]:
    packages = ["pyroscope-io", "opentelemetry-sdk", "fastapi", "django", "flask", "celery"]
    packages += ["uvicorn", "gunicorn", "gevent", "hypercorn"]
    return {
        "python": sys.version.split()[0],
        "versions": {package: version(package) for package in packages},
        "results": [result.as_dict() for result in results],
    }


if __name__ == "__main__":
    sys.exit(main())
