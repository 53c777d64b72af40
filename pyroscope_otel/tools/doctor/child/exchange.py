"""How a process of the doctor's is told what to do, and tells what it found."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def payload() -> dict[str, Any]:
    """Return what this process is to do."""
    told: dict[str, Any] = json.load(sys.stdin)
    return told


def tell(facts: Mapping[str, object]) -> None:
    """Tell what was found. The last time counts."""
    # In one go: the process may be killed at any moment.
    result = Path(sys.argv[1])
    written = result.with_suffix(".part")
    written.write_text(json.dumps(facts, default=str))
    written.replace(result)
