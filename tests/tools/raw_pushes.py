"""Pushes as bytes, and the receiver's answers."""

import socket
import struct

from tests.support.pushes import HEADERS, PATH, body, connect, send

MEBIBYTE = 1024 * 1024
GOOD = body()


def assert_alive(receiver):
    before = len(receiver.profiles)
    assert send(receiver.url, GOOD)[0] == 200
    assert len(receiver.profiles) == before + 1


def head(*, length=None, **headers):
    """Return the request line and headers of a push as bytes; None removes a header."""
    fields = {**HEADERS, "Content-Length": length, **headers}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([f"POST {PATH} HTTP/1.1", *lines, "", ""]).encode()


def status(answer):
    return int(answer.split(None, 2)[1])


def reset(url):
    with connect(url) as connection:
        connection.sendall(head(length=len(GOOD)) + GOOD[:5])
        # With a linger time of zero, close() sends a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
