"""Links OpenTelemetry traces with Pyroscope profiles.

Every CPU sample carries the id of the request it was spent on. The request's root span carries
the same id as `pyroscope.profile.id`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroscope_otel import following
from pyroscope_otel.link.processor import SURROUNDINGS, PyroscopeSpanProcessor
from pyroscope_otel.link.sampled import profile_of_a_sample
from pyroscope_otel.relay import agent_start
from pyroscope_otel.setup.agent import AGENT
from pyroscope_otel.setup.configuration import configure, shutdown
from pyroscope_otel.setup.settings import SettingsError
from pyroscope_otel.setup.uploads import UPLOADS

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

# The link imports neither the hooks nor the agent.
SURROUNDINGS.install_hooks = following.install
SURROUNDINGS.root_starts = AGENT.ensure_running

# This is the only side effect of the import. The agent of this process must push to our relay,
# because only this package can resolve marks. It works whoever starts the agent, and however
# `pyroscope.configure` was imported.
agent_start.install(UPLOADS)
UPLOADS.look_for_agent()


def current_profile_id() -> str | None:
    """Return the id of the profile that a sample of the calling code would belong to.

    It is the id of the local root span, 16 hexadecimal digits. The span has it as the attribute
    ``pyroscope.profile.id``.

    Returns:
        The id, or None outside of a sampled request.
    """
    profile = profile_of_a_sample()
    return None if profile is None else profile.id


def upload_state() -> RelayState | None:
    """Return what happened to the profiles that this process's agent has pushed so far.

    Each process has its own agent and state, so call this in a process that serves requests.
    The call takes a few microseconds, waits for nothing and returns no secrets.

    Returns:
        The counts of pushes and the server's last answer. None if no agent runs, or if the
        agent pushes to the server directly (`attribution` is ``"thread"``, or it started before
        this package was imported).
    """
    return agent_start.state()
