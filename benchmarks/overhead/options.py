"""What the parts of the benchmark are asked to do."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Options:
    """What the parts of the benchmark are asked to do.

    Attributes:
        quick: Whether to do little: it shows that all works, not what it costs.
        rounds: How often to measure each variant, in turns.
        released: The file of the released package's module.
    """

    quick: bool
    rounds: int
    released: Path
    _begin: float = field(default_factory=time.monotonic)

    def say(self, what: str) -> None:
        """Tell a terminal how far we are."""
        print(f"[{time.monotonic() - self._begin:5.0f} s] {what}", file=sys.stderr, flush=True)
