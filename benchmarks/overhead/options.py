"""What the parts of the benchmark are asked to do."""

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
    """What the parts of the benchmark are asked to do.

    Attributes:
        quick: Whether to do little: it shows that all works, not what it costs.
        rounds: How often to measure each variant, in turns.
        released: The file of the released package's module.
        sampler: The agent's sampler: `pyspy` or `stack`.
        memory: Whether the agent takes memory profiles as well.
        only_variants: The variants to measure; all if there are none.
        groups: The groups of `micro` to measure.
        requests: How many requests each variant of `soak` serves.
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
        """Return what a measured process has to be told, whatever it measures."""
        return {
            "variant": variant,
            "released": str(self.released),
            "server": server,
            "sampler": self.sampler,
            "memory": self.memory,
        }

    def variants(self, known: Iterable[str]) -> list[str]:
        """Return which of a part's variants to measure. Tracing alone always is one."""
        return [
            one
            for one in known
            if not self.only_variants or one in self.only_variants or one == "none"
        ]

    def say(self, what: str) -> None:
        """Tell a terminal how far we are."""
        print(f"[{time.monotonic() - self._begin:5.0f} s] {what}", file=sys.stderr, flush=True)
