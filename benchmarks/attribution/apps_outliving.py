"""A shop on FastAPI that leaves work on threads, which must end up without a profile."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from fastapi import APIRouter

from benchmarks.attribution.apps_asgi import prepare, shop_with
from benchmarks.attribution.burn import burn_without_request, turns
from benchmarks.attribution.set_up import instrument_threads
from benchmarks.attribution.spans import name_order

if TYPE_CHECKING:
    from fastapi import FastAPI

router = APIRouter()
_UNTIL_THE_REQUEST_IS_OVER = 0.2
_pool = ThreadPoolExecutor(4)
_mails: queue.SimpleQueue[int] = queue.SimpleQueue()
_sender = threading.Lock()


@router.get("/job_outlives/{order}")
async def job_outlives(order: int) -> str:
    """Leave a job to a pool at the end."""
    name_order(order)
    await prepare(order)
    _pool.submit(tidy_up)
    return "done"


def tidy_up() -> None:
    time.sleep(_UNTIL_THE_REQUEST_IS_OVER)
    for _ in turns(parts=2):
        burn_without_request()


@router.get("/thread_outlives/{order}")
async def thread_outlives(order: int) -> str:
    """Leave work to a thread that the first request starts for all requests."""
    name_order(order)
    await prepare(order)
    if _sender.acquire(blocking=False):
        threading.Thread(target=send_mails, daemon=True).start()
    _mails.put(order)
    return "done"


def send_mails() -> None:
    time.sleep(_UNTIL_THE_REQUEST_IS_OVER)
    while True:
        _mails.get()
        for _ in turns(parts=2):
            burn_without_request()


def shop() -> FastAPI:
    instrument_threads()
    return shop_with(router)
