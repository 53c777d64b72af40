"""A shop on FastAPI. Each endpoint spends its time in a different way.

`burn(order)` stands for the work on one order. The cases differ in where it is called: in the
endpoint, in child tasks, in a thread, or after the response.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING

from anyio.lowlevel import checkpoint
from fastapi import APIRouter, BackgroundTasks, FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware

from benchmarks.attribution.burn import burn, burn_without_request, turns
from benchmarks.attribution.set_up import (
    set_up_asgi,
    set_up_fastapi,
    set_up_fastapi_instrumented,
)
from benchmarks.attribution.spans import name_order

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

router = APIRouter()


@router.get("/health")
async def health() -> int:
    return os.getpid()


async def prepare(order: int, parts: int = 1) -> None:
    for _ in turns(parts):
        burn(order)
        await asyncio.sleep(0)


@router.get("/async_def/{order}")
async def async_def(order: int) -> str:
    name_order(order)
    await prepare(order)
    return "done"


@router.get("/anyio/{order}")
async def on_any_loop(order: int) -> str:
    name_order(order)
    for _ in turns():
        burn(order)
        await checkpoint()
    return "done"


@router.get("/gather/{order}")
async def gather(order: int) -> str:
    name_order(order)
    await asyncio.gather(*(prepare(order, parts=3) for _ in range(3)))
    return "done"


@router.get("/task_group/{order}")
async def task_group(order: int) -> str:
    name_order(order)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(prepare(order, parts=3))
    return "done"


@router.get("/callbacks/{order}")
async def callbacks(order: int) -> str:
    name_order(order)
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def soon(left: int) -> None:
        burn(order)
        if left:
            loop.call_later(0.001, later, left - 1)
        else:
            done.set_result("done")

    def later(left: int) -> None:
        burn(order)
        if left:
            loop.call_soon(soon, left - 1)
        else:
            done.set_result("done")

    loop.call_soon(soon, len(turns()) - 1)
    return await done


@router.get("/async_stream/{order}")
async def async_stream(order: int) -> StreamingResponse:
    name_order(order)

    async def lines() -> AsyncIterator[str]:
        for _ in turns():
            burn(order)
            yield "line\n"
            await asyncio.sleep(0)

    return StreamingResponse(lines())


@router.get("/sync_stream/{order}")
async def sync_stream(order: int) -> StreamingResponse:
    name_order(order)

    def lines() -> Iterator[str]:
        for _ in turns():
            burn(order)
            yield "line\n"

    return StreamingResponse(lines())


@router.get("/background/{order}")
async def background(order: int, tasks: BackgroundTasks) -> str:
    name_order(order)
    tasks.add_task(prepare_later, order)
    return "accepted"


async def prepare_later(order: int) -> None:
    name_order(order)
    await prepare(order)


@router.get("/background_def/{order}")
async def background_def(order: int, tasks: BackgroundTasks) -> str:
    name_order(order)
    tasks.add_task(prepare_later_in_thread, order)
    return "accepted"


def prepare_later_in_thread(order: int) -> None:
    name_order(order)
    prepare_in_thread(order)


leftovers: set[asyncio.Task[None]] = set()


@router.get("/fire_and_forget/{order}")
async def fire_and_forget(order: int) -> str:
    name_order(order)
    await prepare(order)
    task = asyncio.create_task(tidy_up_when_the_request_is_over())
    leftovers.add(task)
    task.add_done_callback(leftovers.discard)
    return "done"


async def tidy_up_when_the_request_is_over() -> None:
    await asyncio.sleep(0.2)
    for _ in turns(parts=2):
        burn_without_request()
        await asyncio.sleep(0)


@router.websocket("/websocket/{order}")
async def websocket(socket: WebSocket, order: int) -> None:
    name_order(order)
    await socket.accept()
    for _ in turns():
        await socket.receive_text()
        burn(order)
        await socket.send_text("done")
    await socket.close()


@router.get("/def/{order}")
def plain_def(order: int) -> str:
    name_order(order)
    prepare_in_thread(order)
    return "done"


def prepare_in_thread(order: int) -> None:
    for _ in turns():
        burn(order)
        time.sleep(0)


@router.get("/to_thread/{order}")
async def to_thread(order: int) -> str:
    name_order(order)
    for _ in turns():
        await asyncio.to_thread(burn, order)
    return "done"


@router.get("/run_in_executor/{order}")
async def run_in_executor(order: int) -> str:
    name_order(order)
    loop = asyncio.get_running_loop()
    for _ in turns():
        await loop.run_in_executor(None, burn, order)
    return "done"


def shop() -> FastAPI:
    return shop_with()


def shop_with(*more: APIRouter) -> FastAPI:
    app = FastAPI()
    for one in (router, *more):
        app.include_router(one)
    return set_up_fastapi(app)


def shop_traced_by_contrib() -> FastAPI:
    app = FastAPI(telemetry={"tracing": False})
    app.include_router(router)
    return set_up_fastapi_instrumented(app)


def shop_traced_by_contrib_asgi() -> FastAPI:
    app = FastAPI(telemetry={"tracing": False})
    app.include_router(router)
    return set_up_asgi(app)


class WorkBeforeEndpoint(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next):
        last = request.url.path.rpartition("/")[-1]
        if last.isdigit():
            await prepare(int(last), parts=2)
        return await call_next(request)


@router.get("/base_http_middleware/{order}")
async def base_http_middleware(order: int) -> str:
    name_order(order)
    await prepare(order, parts=2)
    return "done"


def shop_behind_base_http_middleware() -> FastAPI:
    app = FastAPI()
    app.add_middleware(WorkBeforeEndpoint)
    app.include_router(router)
    return set_up_fastapi(app)


async def count_stock() -> None:
    while True:
        burn_without_request()
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def count_stock_meanwhile(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001 FastAPI's
    task = asyncio.create_task(count_stock())
    yield
    task.cancel()


def shop_with_untraced_task() -> FastAPI:
    app = FastAPI(lifespan=count_stock_meanwhile)
    app.include_router(router)
    return set_up_fastapi(app)
