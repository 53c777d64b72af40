"""A shop on FastAPI and SQLAlchemy's asyncio extension, which runs code in greenlets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from benchmarks.attribution.apps_asgi import shop_with
from benchmarks.attribution.burn import burn, turns
from benchmarks.attribution.spans import name_order

if TYPE_CHECKING:
    from fastapi import FastAPI
    from sqlalchemy import Connection

router = APIRouter()
# Each connection has its own database, so no request waits for another.
engine = create_async_engine("sqlite+aiosqlite://", poolclass=AsyncAdaptedQueuePool, pool_size=8)
_QUERY = text("SELECT :order")


@router.get("/sqlalchemy_run_sync/{order}")
async def run_sync(order: int) -> str:
    """Work in one greenlet, which returns to the event loop at each query."""
    name_order(order)
    async with engine.connect() as connection:
        await connection.run_sync(query_many_times, order)
    return "done"


def query_many_times(connection: Connection, order: int) -> None:
    for _ in turns():
        burn(order)
        connection.execute(_QUERY, {"order": 0})


@router.get("/sqlalchemy_listener/{order}")
async def listener(order: int) -> str:
    """Work in an event listener, in a greenlet for each query."""
    name_order(order)
    async with engine.connect() as connection:
        for _ in turns():
            await connection.execute(_QUERY, {"order": order})
    return "done"


@event.listens_for(engine.sync_engine, "before_cursor_execute")
def burn_before_query(*arguments: Any) -> None:
    _, _, _, parameters, _, _ = arguments
    (order,) = parameters
    if order:
        burn(order)


def shop() -> FastAPI:
    return shop_with(router)
