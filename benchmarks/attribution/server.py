"""Starts and stops the program of a case."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.attribution.cases import Case

REPOSITORY = Path(__file__).parents[2]
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05
_OTHERS_SETTINGS = (
    *("OTEL_", "PYROSCOPE_", "FASTAPI_", "DJANGO_", "FLASK_", "CELERY_"),
    *("GUNICORN_", "UVICORN_", "UWSGI_"),
)


class ServerError(Exception):
    """The server did not start, serve or stop as expected. The message includes its log."""


class Server:
    """Runs the server of a case for the duration of a `with` block.

    Args:
        case: The case.
        environment: Variables for the application, in addition to those of this process.
        log: The file for its output.
        stop_by: The signal that stops it.
        below: The command that starts it, if any.
    """

    def __init__(
        self,
        case: Case,
        environment: dict[str, str],
        log: Path,
        stop_by: signal.Signals,
        below: tuple[str, ...] = (),
    ) -> None:
        self._case = case
        self._below = below
        self._environment = environment
        self._log = log
        self._stop_by = stop_by
        self.port = 0  # a queue's worker has no port

    def __enter__(self) -> Server:  # noqa: PYI034 typing.Self begins with Python 3.11
        program = self._case.program
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*self._below, *program.start, *program.bind, *self._case.options],
                cwd=REPOSITORY,
                env=_clean_environment() | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_it_serves()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is not None:
            self._kill()
            return
        if self._case.program.is_stopped_by_ctrl_c:
            os.killpg(self._process.pid, signal.SIGINT)
        else:
            self._process.send_signal(self._stop_by)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
            raise self.failed(f"did not stop within {_STOP_SECONDS:.0f} s") from None
        self._kill()

    def failed(self, what: str) -> ServerError:
        """Return an error that describes the failure and includes the end of the log."""
        log = self._log.read_text(errors="replace").splitlines()[-25:]
        what = f"the server of {self._case.name} {what}; the end of its log, {self._log}:"
        return ServerError("\n".join([what, *log]))

    def _wait_until_it_serves(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        serves = self._case.program.serves
        while not (match := serves.search(self._log.read_text(errors="replace"))):
            self._pause(deadline)
        if not match.groups():
            return
        self.port = int(match[1])
        # A master listens before its workers serve, so wait until each has answered.
        workers: set[bytes] = set()
        while len(workers) < self._case.workers:
            workers |= _answers(self.port, "/health")
            self._pause(deadline)

    def _pause(self, deadline: float) -> None:
        if self._process.poll() is not None:
            raise self.failed("ended before it served")
        if time.monotonic() > deadline:
            raise self.failed(f"did not serve within {_START_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)

    def _kill(self) -> None:
        # Kill the whole session, as workers may outlive a master.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _clean_environment() -> dict[str, str]:
    ours = {
        name: value for name, value in os.environ.items() if not name.startswith(_OTHERS_SETTINGS)
    }
    return ours | {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}


def _answers(port: int, path: str) -> set[bytes]:
    """Return the body of the server's response, if there is one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
            return {connection.getresponse().read()}
        except (OSError, http.client.HTTPException):
            return set()
