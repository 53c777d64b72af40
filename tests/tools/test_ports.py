"""Whether a server could listen on a port."""

from __future__ import annotations

import socket

from pyroscope_otel.tools.ports import is_free


def test_a_port_that_somebody_listens_on():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_a_port_that_only_a_closed_connection_has():
    """A server that is started again takes its port at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        connection, _ = listener.accept()
        # Who closes first keeps the port for a while.
        connection.close()
        client.close()
    assert is_free(port)
