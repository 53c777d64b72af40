"""The outages of a Pyroscope server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Health = Literal["well", "503", "refuses", "silent"]


@dataclass(frozen=True)
class Scenario:
    """A server's health over time.

    Attributes:
        name: A description.
        phases: The states of the server, with their durations in seconds. The application is
            stopped in the last state.
    """

    name: str
    phases: tuple[tuple[Health, float], ...]

    def divided(self, by: float) -> Scenario:
        """Return the same scenario in less time."""
        return Scenario(self.name, tuple((health, seconds / by) for health, seconds in self.phases))


SCENARIOS = {
    "errors": Scenario(
        "503 for 5 s, then refuses for 8 s",
        (("well", 5), ("503", 5), ("refuses", 8), ("well", 15)),
    ),
    "away": Scenario("away for 45 s", (("well", 5), ("refuses", 45), ("well", 15))),
    "silent": Scenario("silent to the end", (("well", 5), ("silent", 25))),
}
