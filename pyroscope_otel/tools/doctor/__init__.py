"""`pyroscope-otel doctor`: checks a set-up and says what is wrong with it.

A check is a function that returns findings (`pyroscope_otel.setup.findings`, which has those
that start-up and Django's checks show as well). Each module has those about one
thing: what is installed (`versions`), the settings (`settings`), the server
(`server`, by way of `push` and `reading`), a span on the whole way (`end_to_end`),
its trace (`traces`), and an application (`application`, `request`). What starts an
agent or loads an application does so in a process of its own (`isolated`, `child`).
`examination` does the checks in turn, `report` writes down what they found, and
`masking` keeps secrets out of that.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pyroscope_otel.tools.doctor.examination import examine
from pyroscope_otel.tools.doctor.masking import Mask
from pyroscope_otel.tools.doctor.report import as_json, as_text
from pyroscope_otel.tools.interrupts import signals_as_interrupt

if TYPE_CHECKING:
    import argparse

__all__ = ("run",)


def run(arguments: argparse.Namespace) -> int:
    """Run `pyroscope-otel doctor`.

    Args:
        arguments: Those of the command line: app, path, server, read_from, json.

    Returns:
        The exit status: 0 if no problem was found, 1 if one was.
    """
    # So that it ends as with Ctrl-C: its processes have sessions of their own.
    with signals_as_interrupt():
        examination = examine(
            app=arguments.app,
            path=arguments.path,
            server=arguments.server,
            read_from=arguments.read_from,
            progress=_say if sys.stderr.isatty() else lambda _: None,
        )
    write = as_json if arguments.json else as_text
    sys.stdout.write(write(examination, Mask(examination.secrets)))
    return 0 if examination.is_well else 1


def _say(what: str) -> None:
    print(f"{what} ...", file=sys.stderr)  # noqa: T201  a command talks to its terminal
