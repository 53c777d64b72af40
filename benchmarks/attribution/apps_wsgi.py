"""A shop on plain WSGI."""

from __future__ import annotations

import os

from benchmarks.attribution import ways
from benchmarks.attribution.set_up import set_up_wsgi
from benchmarks.attribution.spans import name_order


def shop(environ, start_response):
    _, view, *rest = environ["PATH_INFO"].split("/")
    start_response("200 OK", [("Content-Type", "text/plain")])
    if view == "health":
        return [str(os.getpid()).encode()]
    order = int(rest[0])
    name_order(order)
    if view == "stream":
        return ways.stream(order)
    {"plain": ways.plain, "thread_pool": ways.thread_pool}[view](order)
    return [b"done"]


app = set_up_wsgi(shop)
