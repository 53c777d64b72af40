"""Ways to spend time on an order, which several frameworks share."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.attribution.burn import burn, turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_pool = ThreadPoolExecutor(max_workers=4)


def plain(order: int) -> None:
    for _ in turns():
        burn(order)
        time.sleep(0)


def stream(order: int) -> Iterator[bytes]:
    for _ in turns():
        burn(order)
        yield b"line\n"
        time.sleep(0)


def thread_pool(order: int) -> None:
    for _ in turns():
        _pool.submit(burn, order).result()


async def async_plain(order: int) -> None:
    for _ in turns():
        burn(order)
        await asyncio.sleep(0)


async def async_stream(order: int) -> AsyncIterator[bytes]:
    for _ in turns():
        burn(order)
        yield b"line\n"
        await asyncio.sleep(0)
