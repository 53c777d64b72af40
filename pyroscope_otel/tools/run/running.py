"""Runs a command with a local server, and reports its requests."""

from __future__ import annotations

import os
import sys
import time
import webbrowser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pyroscope_otel.setup.settings import SettingsError, read_settings
from pyroscope_otel.tools.asking import Unanswered
from pyroscope_otel.tools.interrupts import signals_as_interrupt
from pyroscope_otel.tools.run.command import Command
from pyroscope_otel.tools.run.environment import decisive_variables, environment
from pyroscope_otel.tools.run.errors import RunFailed
from pyroscope_otel.tools.run.inside import LOADED
from pyroscope_otel.tools.run.inside.instrumentations import MISSING
from pyroscope_otel.tools.run.local_server import server
from pyroscope_otel.tools.run.service_name import service_name
from pyroscope_otel.tools.run.slowest import slowest_requests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroscope_otel.tools.run.local_server import Server

__all__ = ("run",)


def run(  # noqa: PLR0913 -- the options of a command
    words: Sequence[str],
    *,
    port: int | None = None,
    data: str | None = None,
    sampler: str | None = None,
    memory: bool = False,
    opened: bool = False,
) -> int:
    """Run a command, and show its requests in the local server.

    Messages go to standard error, as standard output belongs to the command.

    Args:
        words: The command and its arguments.
        port: The local server's port; see `pyroscope_otel.tools.run.local_server.server`.
        data: The file to store the received data in, or None for a temporary one.
        sampler: The sampler, or None for the default.
        memory: Whether to take memory profiles.
        opened: Whether to open the page in a browser.

    Returns:
        The exit status of the command, 127 if there is no such command, or 1 if a setting is
        wrong or the local server does not start.
    """
    try:
        with (
            signals_as_interrupt(),
            TemporaryDirectory(prefix="pyroscope-otel-run-") as notes,
            server(port, data) as one,
        ):
            made = environment(
                os.environ,
                url=one.url,
                name=service_name(words, str(Path.cwd())),
                notes=notes,
                sampler=sampler,
                memory=memory,
            )
            read_settings({}, environ=made)
            started = _Run(one, Path(notes))
            started.print_where_to_look(made["OTEL_SERVICE_NAME"])
            if opened:
                webbrowser.open(one.url)
            return started.run_to_end(Command(words, made), data)
    except SettingsError as error:
        _print(f"{error}")
        return 1
    except RunFailed as error:
        _print(f"{error}")
        return error.status


class _Run:
    def __init__(self, one: Server, notes: Path) -> None:
        self._server = one
        self._notes = notes
        self._since_ms = time.time() * 1000

    def print_where_to_look(self, name: str) -> None:
        """Print where the requests appear, before the command prints anything."""
        _print(f"The requests of {name} are at {self._server.url}/")
        _print(f"kill -USR1 {os.getpid()} lists the slowest.")
        for variable in decisive_variables(os.environ):
            _print(f"{variable} is set and kept: it may keep requests off the page.")

    def run_to_end(self, command: Command, data: str | None) -> int:
        """Run the command, print a summary, and return the exit status."""
        status = command.run(self._print_slowest)
        self._print_slowest()
        self._print_what_is_missing()
        if not self._server.is_ours:
            return status
        if data is not None:
            _print(f"See them again: pyroscope-otel serve --data {data}")
        elif sys.stdin.isatty() and sys.stderr.isatty() and not command.was_asked_to_end:
            self._wait_for_the_reader()
        return status

    def _print_slowest(self) -> None:
        try:
            lines = slowest_requests(self._server.url, self._since_ms)
        except Unanswered as error:
            lines = [f"Cannot read the requests: {error}"]
        for line in lines or [self._why_none()]:
            _print(line)

    def _why_none(self) -> str:
        if (self._notes / LOADED).exists():
            return "No requests so far."
        if any(self._notes.iterdir()):
            return "No requests: see the messages above."
        return (
            "No requests: the command has started no Python, or one that ignores "
            "PYTHONPATH (python -I, -E or -S)."
        )

    def _print_what_is_missing(self) -> None:
        names = sorted(note.name.removeprefix(MISSING) for note in self._notes.glob(f"{MISSING}*"))
        if names:
            packages = " ".join(f"opentelemetry-instrumentation-{name}" for name in names)
            _print(f"To see more: pip install {packages}")

    def _wait_for_the_reader(self) -> None:
        _print(f"The page stays until Ctrl-C: {self._server.url}/")
        try:
            with signals_as_interrupt():
                while True:
                    time.sleep(3600)
        except KeyboardInterrupt:
            _print("Stopped.")


def _print(text: str) -> None:
    print(f"pyroscope-otel: {text}", file=sys.stderr, flush=True)  # noqa: T201  a command talks
