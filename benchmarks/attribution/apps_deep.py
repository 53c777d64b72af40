"""A shop on FastAPI that works at the end of deep stacks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter

from benchmarks.attribution.apps_asgi import shop_with
from benchmarks.attribution.burn import burn, turns
from benchmarks.attribution.spans import name_order

if TYPE_CHECKING:
    from fastapi import FastAPI

router = APIRouter()
_OTHER_FRAMES = 5  # Handle._run, prepare_deep, the last dig, and two of `burn`


@router.get("/deep_{frames}/{order}")
async def deep(frames: int, order: int) -> str:
    name_order(order)
    # A separate task has no frames of the framework on its stack.
    await asyncio.create_task(prepare_deep(order, frames - _OTHER_FRAMES))
    return "done"


async def prepare_deep(order: int, frames: int) -> None:
    for _ in turns():
        dig(order, frames)
        await asyncio.sleep(0)


def dig(order: int, frames: int) -> None:
    if frames > 0:
        dig(order, frames - 1)
    else:
        burn(order)


def shop() -> FastAPI:
    return shop_with(router)
