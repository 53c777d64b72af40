"""Runs a module of `doctor.child` in a process of its own.

The agent, the global tracer provider and an application's own start-up happen
once in a process, and some of them end it. None of that happens in the doctor.
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

_MOST_BYTES = 8 * 1024 * 1024
_SHOWN_LINES = 6
_SHOWN_BYTES = 4000


@dataclass(frozen=True)
class Outcome:
    """How a process of the doctor's ended.

    Attributes:
        facts: What it found; None if it did not come to that.
        ending: How it ended, in words.
        said: The last lines that it wrote.
    """

    facts: dict[str, Any] | None
    ending: str
    said: str


def run_isolated(
    module: str, payload: Mapping[str, object], *, seconds: float, environ: Mapping[str, str]
) -> Outcome:
    """Run a module of `doctor.child`, and return what it found.

    Args:
        module: Its name.
        payload: What it is told, as JSON can have it. It goes through a pipe: it
            may have secrets, and a command line can be read by anyone.
        seconds: How long it may take. Then it is killed.
        environ: Environment variables that it has besides this process's.
    """
    with tempfile.TemporaryDirectory(prefix="pyroscope-otel-doctor-") as folder:
        result = Path(folder, "facts.json")
        # A file, as what the application starts may inherit a pipe and hold it open.
        with Path(folder, "said").open("w+b") as said:
            process = subprocess.Popen(  # noqa: S603  our own module
                [sys.executable, "-m", f"pyroscope_otel.tools.doctor.child.{module}", str(result)],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                env={**os.environ, **environ},
                start_new_session=True,
            )
            ending = _wait(process, json.dumps(payload).encode(), seconds)
            return Outcome(_facts(result), ending, _last_lines(said))


def _wait(process: subprocess.Popen[bytes], payload: bytes, seconds: float) -> str:
    try:
        process.communicate(payload, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"it took more than {seconds:.0f} s and was stopped"
    finally:
        # Its whole group, with what an application may have started.
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
            facts = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


def _last_lines(said: BinaryIO) -> str:
    end = said.seek(0, os.SEEK_END)
    said.seek(max(0, end - _SHOWN_BYTES))
    lines = said.read().decode(errors="replace").strip().splitlines()
    return "\n".join(lines[-_SHOWN_LINES:])
