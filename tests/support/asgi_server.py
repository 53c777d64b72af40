"""An ASGI server as an application sees it: scope, receive, send and a loop."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint

from tests.support import event_loops
from tests.support.journal import PATH


def _run_trio(main):
    return trio.run(main)


def _run_uvloop(main):
    (new_loop,) = event_loops.new_uvloop.values
    return event_loops.run(main, new_loop)


run_asyncio = partial(event_loops.run, new_loop=asyncio.SelectorEventLoop)

each_loop = pytest.mark.parametrize(
    "run",
    [
        pytest.param(run_asyncio, id="asyncio"),
        pytest.param(_run_uvloop, id="uvloop", marks=event_loops.needs_uvloop),
        pytest.param(_run_trio, id="trio"),
    ],
)
"""Runs a test once for each loop: its argument `run` runs a coroutine function."""


def http(path=PATH, method="GET", **more):
    """Return the scope of an HTTP request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"shop.test")],
        "client": ("192.0.2.1", 4711),
        "server": ("shop.test", 80),
    } | more


def websocket(path=PATH, **more):
    """Return the scope of a websocket session."""
    scope = http(path, type="websocket", scheme="ws", subprotocols=[], **more)
    del scope["method"]
    return scope


class Exchange:
    """One connection: messages for the application, and the messages it sent.

    Args:
        *incoming: Messages to receive; then `receive` waits forever. Without any,
            the request has an empty body.
    """

    def __init__(self, *incoming):
        self._incoming = deque(incoming or [{"type": "http.request"}])
        self.sent = []

    async def receive(self):
        if not self._incoming:
            await anyio.sleep_forever()
        return self._incoming.popleft()

    async def send(self, message):
        await checkpoint()
        self.sent.append(message)

    @property
    def ends(self):
        return self.receive, self.send

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def statuses(self):
        return [m["status"] for m in self.sent if m["type"] == "http.response.start"]


LIFESPAN = {"type": "lifespan", "asgi": {"version": "3.0"}}
STARTUP = {"type": "lifespan.startup"}
SHUTDOWN = {"type": "lifespan.shutdown"}


async def start_and_stop(app):
    """Run one lifespan: Starlette and FastAPI build their middleware in it."""
    lifespan = Exchange(STARTUP, SHUTDOWN)
    await app(dict(LIFESPAN), *lifespan.ends)


async def serve(app, exchange, scope):
    """Serve one connection, the first after the lifespan's startup."""
    await start_and_stop(app)
    await app(scope, *exchange.ends)


START = {"type": "http.response.start", "status": 200, "headers": []}


def chunk(body=b"x", *, more=True):
    return {"type": "http.response.body", "body": body, "more_body": more}
