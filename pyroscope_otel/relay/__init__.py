"""The relay: what the agent pushes to, and what sends the profiles on, with links.

What it needs (protobuf, TLS) is imported when an agent is about to start, and not before.
"""

from pyroscope_otel.relay.agent_start import install, state, uninstall

__all__ = ("install", "state", "uninstall")
