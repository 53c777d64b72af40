"""Measures the cost of the link, compared with tracing alone and with the released 1.1.0."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.attribution.installed import InstallError, released_module
from benchmarks.overhead import http, micro, relay, soak
from benchmarks.overhead.child import ChildError
from benchmarks.overhead.options import GROUPS, Options
from benchmarks.overhead.set_up import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping

_PARTS = {"micro": micro, "relay": relay, "http": http, "soak": soak}
_EPILOG = """\
micro   microseconds that one event costs in addition to tracing alone
relay   the share of a core that the relay uses
http    requests per second and latency; failed requests during an outage of the
        Pyroscope server
soak    labels, numbers, objects and memory left after 100,000 requests

Every variant runs in a separate process, with the agent, in turns with the
others. Run it on an otherwise idle machine; --quick only tests that everything
works. The bars are shown for comparison: the exit status does not depend on them.
"""


def main() -> int:
    """Run the parts that the command line asks for."""
    arguments = _parser().parse_args()
    document: dict[str, Any] = {"versions": _versions(), "sampler": arguments.sampler}
    try:
        options = Options(
            quick=arguments.quick,
            rounds=arguments.rounds or (2 if arguments.quick else 7),
            released=released_module(),
            sampler=arguments.sampler,
            memory=arguments.memory,
            only_variants=tuple(arguments.variant),
            groups=tuple(arguments.group),
            requests=arguments.requests or (2_000 if arguments.quick else 100_000),
        )
        for name in [arguments.only] if arguments.only else list(_PARTS):
            results = _PARTS[name].measure(options)
            print(f"\n{name}\n\n{_PARTS[name].show(results)}\n", flush=True)
            document[name] = results
            if arguments.json:
                arguments.json.write_text(json.dumps(document, indent=1))
    except (ChildError, InstallError) as error:
        print(error, file=sys.stderr)
        return 1
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
    parser.add_argument(
        "--sampler",
        choices=("pyspy", "stack"),
        default="pyspy",
        help="the agent's sampler, the same for all variants (default: pyspy)",
    )
    parser.add_argument("--memory", action="store_true", help="also take memory profiles")
    parser.add_argument(
        "--variant",
        nargs="+",
        choices=VARIANTS,
        default=[],
        help="only these variants, and tracing alone (default: all)",
    )
    parser.add_argument(
        "--group", nargs="+", choices=GROUPS, default=GROUPS, help="only these groups of micro"
    )
    parser.add_argument(
        "--requests",
        type=_positive,
        metavar="N",
        help="requests for each variant of soak (default: 100000, with --quick 2000)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to FILE")
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
