"""The relay: what the agent pushes to, and what sends the profiles on, with links."""

from pyroscope_otel.relay.agent_start import install, state, uninstall
from pyroscope_otel.relay.destination import Destination
from pyroscope_otel.relay.relay import Relay, RelayState

__all__ = ("Destination", "Relay", "RelayState", "install", "state", "uninstall")
