"""The options of the benchmark."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

GROUPS = ("threads", "asyncio", "uvloop", "gevent")


@dataclass(frozen=True)
class Options:
    """The options of the benchmark.

    Attributes:
        quick: Whether to do only a short test, without meaningful numbers.
        rounds: How often to measure each variant, in turns.
        released: The file of the released package's module.
        sampler: The agent's sampler: `pyspy` or `stack`.
        memory: Whether the agent also takes memory profiles.
        only_variants: The variants to measure, or all if empty.
        groups: The groups of `micro` to measure.
        requests: The number of requests for each variant of `soak`.
    """

    quick: bool
    rounds: int
    released: Path
    sampler: str = "pyspy"
    memory: bool = False
    only_variants: tuple[str, ...] = ()
    groups: tuple[str, ...] = GROUPS
    requests: int = 100_000
    _begin: float = field(default_factory=time.monotonic)

    def setting(self, variant: str, server: str) -> dict[str, Any]:
        """Return the settings that every measured process needs."""
        return {
            "variant": variant,
            "released": str(self.released),
            "server": server,
            "sampler": self.sampler,
            "memory": self.memory,
        }

    def variants(self, known: Iterable[str]) -> list[str]:
        """Return the variants of a part to measure. Tracing alone is always included."""
        return [
            one
            for one in known
            if not self.only_variants or one in self.only_variants or one == "none"
        ]

    def say(self, what: str) -> None:
        """Print the progress to standard error."""
        print(f"[{time.monotonic() - self._begin:5.0f} s] {what}", file=sys.stderr, flush=True)
