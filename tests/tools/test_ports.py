"""Whether a port is free for a server."""

from __future__ import annotations

import socket

from pyroscope_otel.tools.ports import is_free


def test_port_with_a_listener_is_not_free():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_port_of_a_closed_connection_is_free():
    """So a server can restart at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        connection, _ = listener.accept()
        # The side that closes first keeps the port for a while.
        connection.close()
        client.close()
    assert is_free(port)
