"""Runs a command from the start of the local server to its last word."""

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
from pyroscope_otel.tools.run.environment import environment, users_own
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

    What is said goes to standard error: standard output is the command's.

    Args:
        words: The command and its arguments.
        port: The local server's port; see `pyroscope_otel.tools.run.local_server.server`.
        data: The file to keep what was received in; None for a temporary one.
        sampler: The sampler; None for the default.
        memory: Whether memory profiles are taken.
        opened: Whether the page is opened in a browser.

    Returns:
        The command's exit status; 127 if there is no such command, 1 if a setting is
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
            started.say_where_to_look(made["OTEL_SERVICE_NAME"])
            if opened:
                webbrowser.open(one.url)
            return started.to_its_end(Command(words, made), data)
    except SettingsError as error:
        _say(f"{error}")
        return 1
    except RunFailed as error:
        _say(f"{error}")
        return error.status


class _Run:
    def __init__(self, one: Server, notes: Path) -> None:
        self._server = one
        self._notes = notes
        self._since_ms = time.time() * 1000

    def say_where_to_look(self, name: str) -> None:
        """Say it before the command says anything."""
        _say(f"The requests of {name} are at {self._server.url}/")
        _say(f"kill -USR1 {os.getpid()} lists the slowest.")
        for variable in users_own(os.environ):
            _say(f"{variable} is set, and stays: it may keep requests from the page.")

    def to_its_end(self, command: Command, data: str | None) -> int:
        """Run the command, say what there was, and return its exit status."""
        status = command.run(self._say_slowest)
        self._say_slowest()
        self._say_what_is_missing()
        if not self._server.is_ours:
            return status
        if data is not None:
            _say(f"See them again: pyroscope-otel serve --data {data}")
        elif sys.stdin.isatty() and sys.stderr.isatty() and not command.was_asked_to_end:
            self._wait_for_the_reader()
        return status

    def _say_slowest(self) -> None:
        try:
            lines = slowest_requests(self._server.url, self._since_ms)
        except Unanswered as error:
            lines = [f"The requests are not there: {error}"]
        for line in lines or [self._why_none()]:
            _say(line)

    def _why_none(self) -> str:
        if (self._notes / LOADED).exists():
            return "No requests so far."
        if any(self._notes.iterdir()):
            return "No requests: what is needed is said above."
        return (
            "No requests: the command has started no Python, or one that does not read "
            "PYTHONPATH (python -I, -E or -S)."
        )

    def _say_what_is_missing(self) -> None:
        names = sorted(note.name.removeprefix(MISSING) for note in self._notes.glob(f"{MISSING}*"))
        if names:
            packages = " ".join(f"opentelemetry-instrumentation-{name}" for name in names)
            _say(f"More would be seen with: pip install {packages}")

    def _wait_for_the_reader(self) -> None:
        _say(f"The page stays until Ctrl-C: {self._server.url}/")
        try:
            with signals_as_interrupt():
                while True:
                    time.sleep(3600)
        except KeyboardInterrupt:
            _say("Stopped.")


def _say(text: str) -> None:
    print(f"pyroscope-otel: {text}", file=sys.stderr, flush=True)  # noqa: T201  a command talks
