"""Serves requests to a project as WSGI and ASGI servers do."""

from __future__ import annotations

import asyncio
import contextvars
from functools import partial

import pytest

from tests.support import event_loops
from tests.support.asgi_server import Exchange as AsgiExchange
from tests.support.asgi_server import http
from tests.support.wsgi_server import Exchange as WsgiExchange


def wsgi(project):
    """Serve one request and return its status and body."""
    exchange = WsgiExchange()
    exchange.serve(project.wsgi())
    (status,) = exchange.statuses
    return int(status.partition(" ")[0]), b"".join(exchange.chunks)


def asgi(project, new_loop=asyncio.SelectorEventLoop):
    """Do the same on an event loop."""
    exchange = AsgiExchange()
    # In a copied context: each request starts as the first one does.
    serve = partial(project.asgi(), http(), *exchange.ends)
    contextvars.copy_context().run(event_loops.run, serve, new_loop)
    (status,) = exchange.statuses
    return status, exchange.body


each_server = pytest.mark.parametrize("serve", [wsgi, asgi], ids=["wsgi", "asgi"])
"""Runs a test once with each kind of server: its argument is `serve(project)`."""

each_server_and_loop = pytest.mark.parametrize(
    "serve",
    [
        pytest.param(wsgi, id="wsgi"),
        pytest.param(asgi, id="asgi"),
        pytest.param(
            partial(asgi, new_loop=event_loops.new_uvloop.values[0]),
            id="asgi-uvloop",
            marks=event_loops.needs_uvloop,
        ),
    ],
)
"""Also runs a test on both event loops."""
