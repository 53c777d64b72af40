"""The relay: takes the agent's pushes, adds the links, and sends them to the server.

Its dependencies (protobuf, TLS) are imported only when an agent is about to start.
"""

from pyroscope_otel.relay.agent_start import install, state, uninstall

__all__ = ("install", "state", "uninstall")
