"""A shop on plain WSGI. Each path spends its time in another way; see `apps_asgi`."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.attribution.burn import burn, turns
from benchmarks.attribution.set_up import set_up_wsgi
from benchmarks.attribution.spans import name_order

if TYPE_CHECKING:
    from collections.abc import Iterator

pool = ThreadPoolExecutor(max_workers=4)


def health() -> list[bytes]:
    return [str(os.getpid()).encode()]


def plain(order: int) -> list[bytes]:
    for _ in turns():
        burn(order)
        time.sleep(0)
    return [b"done"]


def stream(order: int) -> Iterator[bytes]:
    for _ in turns():
        burn(order)
        yield b"line\n"
        time.sleep(0)


def thread_pool(order: int) -> list[bytes]:
    for _ in turns():
        pool.submit(burn, order).result()
    return [b"done"]


VIEWS = {"plain": plain, "stream": stream, "thread_pool": thread_pool}


def shop(environ, start_response):
    _, view, *rest = environ["PATH_INFO"].split("/")
    start_response("200 OK", [("Content-Type", "text/plain")])
    if view == "health":
        return health()
    order = int(rest[0])
    name_order(order)
    return VIEWS[view](order)


app = set_up_wsgi(shop)
