"""A shop on FastAPI whose requests allocate memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter

from benchmarks.attribution.apps_asgi import shop_with
from benchmarks.attribution.burn import allocate, turns
from benchmarks.attribution.spans import name_order

if TYPE_CHECKING:
    from fastapi import FastAPI

router = APIRouter()


@router.get("/memory/{order}")
async def memory(order: int) -> str:
    name_order(order)
    for _ in turns():
        allocate(order)
        await asyncio.sleep(0)
    return "done"


def shop() -> FastAPI:
    return shop_with(router)
