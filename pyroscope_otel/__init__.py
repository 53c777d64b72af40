"""Links OpenTelemetry traces with Pyroscope profiles.

Every CPU sample carries the id of the request it was spent on, and that
request's root span carries the same id, `pyroscope.profile.id`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroscope_otel.configuration import configure, shutdown
from pyroscope_otel.following.sampled import profile_of_a_sample
from pyroscope_otel.processor import PyroscopeSpanProcessor
from pyroscope_otel.relay import agent_start
from pyroscope_otel.settings import SettingsError
from pyroscope_otel.uploads import UPLOADS

if TYPE_CHECKING:
    from pyroscope_otel.relay.relay import RelayState

__all__ = (
    "PyroscopeSpanProcessor",
    "SettingsError",
    "configure",
    "current_profile_id",
    "shutdown",
    "upload_state",
)

# The one thing that an import does: the agent of this process, whoever starts it and however
# `pyroscope.configure` was imported, pushes to a relay of ours, as what it samples has to be
# read with what this package knows.
agent_start.install(UPLOADS)
UPLOADS.look_for_agent()


def current_profile_id() -> str | None:
    """Return the id of the profile that the calling code's CPU time goes to.

    It is the id of the local root span, 16 hexadecimal digits, and what that
    span has as ``pyroscope.profile.id``.

    Returns:
        The id; None outside of a sampled request.
    """
    profile = profile_of_a_sample()
    return None if profile is None else profile.id


def upload_state() -> RelayState | None:
    """Return what became of the profiles that this process's agent has pushed so far.

    Each process has an agent and a state of its own: ask in one that serves. It costs a
    few microseconds, waits for nothing and has no secrets in it.

    Returns:
        The counts of pushes, and the server's last answer. None where no agent runs, and
        where it sends to the server itself (`attribution` is ``"thread"``, or it was started
        before this package was imported).
    """
    return agent_start.state()
