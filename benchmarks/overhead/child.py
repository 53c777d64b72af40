"""Runs a measured process. Hooks are process-wide, so each variant has its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REPOSITORY = Path(__file__).parents[2]
_FOREIGN = ("OTEL_", "PYROSCOPE_", "FASTAPI_", "GUNICORN_", "UVICORN_")


class ChildError(Exception):
    """A measured process failed. The message includes the end of its output."""


def environment() -> dict[str, str]:
    """Return the environment of a measured process, without the settings of this one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return kept | {"PYTHONPATH": str(REPOSITORY)}


def command(module: str, setting: Mapping[str, Any]) -> list[str]:
    """Return the command line that runs a module of this package with a setting."""
    return [sys.executable, "-m", f"benchmarks.overhead.{module}", json.dumps(setting)]


def setting_of(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the setting that `command` passed."""
    return json.loads(arguments[1])


def run(module: str, setting: Mapping[str, Any], timeout: float) -> Any:
    """Run a module of this package and return its report.

    Raises:
        ChildError: The module failed, or took longer than `timeout` seconds.
    """
    try:
        done = subprocess.run(
            command(module, setting),
            cwd=REPOSITORY,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ChildError(f"{module} with {setting} took longer than {timeout:.0f} s") from error
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        end = "\n".join(done.stderr.splitlines()[-25:])
        raise ChildError(f"{module} with {setting} failed ({done.returncode}):\n{end}")
    return json.loads(lines[-1])


def report(result: object) -> None:
    """Pass a result to `run`, and exit without waiting for the agent's last push."""
    # uvloop may have made the pipe non-blocking, and then it takes no more than its buffer.
    os.set_blocking(sys.stdout.fileno(), True)
    print(json.dumps(result), flush=True)
    os._exit(0)
