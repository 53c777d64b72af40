"""Runs a module of `doctor.child` in a separate process.

An agent, a global tracer provider and an application can be started only once in a process,
and some of them may end it. So none of them is started in the doctor itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_BYTES = 8 * 1024 * 1024
_SHOWN_LINES = 6
_SHOWN_BYTES = 4000


@dataclass(frozen=True)
class Outcome:
    """The outcome of a child process.

    Attributes:
        facts: Its report, or None if it did not write one.
        ending: How it ended, in words.
        output: The last lines that it printed.
    """

    facts: dict[str, Any] | None
    ending: str
    output: str


def run_isolated(
    module: str, payload: Mapping[str, object], *, seconds: float, environ: Mapping[str, str]
) -> Outcome:
    """Run a module of `doctor.child`, and return the outcome.

    Args:
        module: The name of the module.
        payload: The task, as a JSON object. It goes through a pipe, as it may contain secrets
            and anyone can read a command line.
        seconds: The time limit, after which the process is killed.
        environ: Environment variables to add to those of this process.
    """
    with tempfile.TemporaryDirectory(prefix="pyroscope-otel-doctor-") as folder:
        result = Path(folder, "facts.json")
        # Not a pipe: a process that the application starts could inherit it and hold it open.
        with Path(folder, "output").open("w+b") as output:
            process = subprocess.Popen(  # noqa: S603  our own module
                [sys.executable, "-m", f"pyroscope_otel.tools.doctor.child.{module}", str(result)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**os.environ, **environ},
                start_new_session=True,
            )
            ending = _wait(process, json.dumps(payload).encode(), seconds)
            return Outcome(_facts(result), ending, _last_lines(output))


def _wait(process: subprocess.Popen[bytes], payload: bytes, seconds: float) -> str:
    try:
        process.communicate(payload, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"it took more than {seconds:.0f} s and was stopped"
    finally:
        # Kill the whole group, with any processes that the application has started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode < 0:
        number = -process.returncode
        return f"it was ended by signal {number} ({signal.strsignal(number)})"
    return f"it ended with exit status {process.returncode}"


def _facts(result: Path) -> dict[str, Any] | None:
    try:
        with result.open("rb") as file:
            facts = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


def _last_lines(output: BinaryIO) -> str:
    end = output.seek(0, os.SEEK_END)
    output.seek(max(0, end - _SHOWN_BYTES))
    lines = output.read().decode(errors="replace").strip().splitlines()
    return "\n".join(lines[-_SHOWN_LINES:])
