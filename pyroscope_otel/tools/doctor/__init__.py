"""`pyroscope-otel doctor`: checks a set-up and reports what is wrong with it.

A check is a function that returns findings. The judgements that start-up and Django's checks
share are in `pyroscope_otel.setup.findings`. Each module here checks one thing: installed
versions (`versions_check`), settings (`settings_check`), the server (`server_check`, with
`push` and `reading`), a span from end to end (`end_to_end_check`), its trace
(`traces_check`), and an application (`application_check`, `request_check`). Checks that start
an agent or load an application do so in a separate process (`isolated`, `child`).
`examination` runs the checks in order, `report` prints the findings, and `masking` keeps
secrets out of the report.
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
        arguments: The parsed command line: app, path, server, read_from, json.

    Returns:
        The exit status: 0 if no problem was found, 1 if one was.
    """
    # The child processes have their own sessions and get no signal from the terminal.
    with signals_as_interrupt():
        examination = examine(
            app=arguments.app,
            path=arguments.path,
            server=arguments.server,
            read_from=arguments.read_from,
            progress=_show_progress if sys.stderr.isatty() else lambda _: None,
        )
    write = as_json if arguments.json else as_text
    sys.stdout.write(write(examination, Mask(examination.secrets)))
    return 0 if examination.is_well else 1


def _show_progress(what: str) -> None:
    print(f"{what} ...", file=sys.stderr)  # noqa: T201  a command talks to its terminal
