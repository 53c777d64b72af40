"""Passes the task to a child process of the doctor, and its results back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def payload() -> dict[str, Any]:
    """Return the task of this process."""
    task: dict[str, Any] = json.load(sys.stdin)
    return task


def report(facts: Mapping[str, object]) -> None:
    """Report results. Each call replaces the report before it."""
    # Write atomically: the process may be killed at any moment.
    result = Path(sys.argv[1])
    written = result.with_suffix(".part")
    written.write_text(json.dumps(facts, default=str))
    written.replace(result)
