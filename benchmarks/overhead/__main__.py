"""Measures what following costs, beside tracing alone and beside the released 1.1.0."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.attribution.installed import released_module
from benchmarks.overhead import http, micro, soak
from benchmarks.overhead.child import ChildError
from benchmarks.overhead.options import Options

if TYPE_CHECKING:
    from collections.abc import Mapping

_PARTS = {"micro": micro, "http": http, "soak": soak}
_EPILOG = """\
micro   microseconds that one event costs more than with tracing alone
http    requests per second and latency; failed requests where the Pyroscope
        server is not well
soak    labels, objects and memory left after 100,000 requests

Every variant runs in a process of its own, with the agent, in turns with the
others. Run it on a machine that has nothing else to do; --quick only shows that
everything works. Nothing is asserted: bars are there to be compared with.
"""


def main() -> int:
    """Run what the command line asks for."""
    options = _parser().parse_args()
    parts = [options.only] if options.only else list(_PARTS)
    document: dict[str, Any] = {"versions": _versions()}
    what = Options(options.quick, options.rounds or (2 if options.quick else 7), released_module())
    for name in parts:
        try:
            results = _PARTS[name].measure(what)
        except ChildError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        print(f"\n{name}\n\n{_PARTS[name].show(results)}\n", flush=True)
        document[name] = results
        if options.json:
            options.json.write_text(json.dumps(document, indent=1))
    print(", ".join(f"{name} {of}" for name, of in _versions().items()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="few and short measurements")
    parser.add_argument("--only", choices=_PARTS, help="only this part")
    parser.add_argument(
        "--rounds",
        type=_positive,
        metavar="N",
        help="how often to measure each variant (default: 7, with --quick 2)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there as well")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _versions() -> Mapping[str, str]:
    packages = ("opentelemetry-sdk", "pyroscope-io", "uvloop", "gevent", "fastapi", "gunicorn")
    return {"Python": platform.python_version()} | {name: version(name) for name in packages}


if __name__ == "__main__":
    sys.exit(main())
