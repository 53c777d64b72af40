"""A FastAPI service that uses CPU time on the event loop, in worker threads and in a thread pool.

Start it with `uvicorn example_apps.fastapi_app:app`, and open
http://localhost:8000/search/tea. Its profiles go to PYROSCOPE_SERVER_ADDRESS, by
default http://localhost:4040, and its traces to OTEL_EXPORTER_OTLP_ENDPOINT, by
default nowhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import random

from fastapi import FastAPI

from pyroscope_otel.asgi import PyroscopeMiddleware

app = FastAPI(title="shop")
app.add_middleware(PyroscopeMiddleware, application_name="shop")


@app.get("/search/{word}")
async def search(word: str) -> dict[str, int]:
    """Work on the event loop, in turns with other requests."""
    hits = 0
    for shelf in range(8):
        hits += rank_results(word, shelf)
        await asyncio.sleep(0)  # where a real service would query a database
    return {"hits": hits}


@app.get("/invoice/{number}")
def invoice(number: int) -> dict[str, int]:
    """Work in a worker thread, where FastAPI runs `def` endpoints."""
    return {"number": number, "total": render_invoice(number)}


@app.post("/thumbnail/{name}")
async def thumbnail(name: str) -> dict[str, str]:
    """Work in a thread pool, while the event loop serves other requests."""
    return {"name": name, "digest": await asyncio.to_thread(resize_image, name)}


@app.get("/health")
async def health() -> dict[str, str]:
    """Do no work: such a request has a profile without samples."""
    return {"status": "ok"}


def rank_results(word: str, shelf: int) -> int:
    """Take some 40 ms of CPU time."""
    hits = 0
    for number in range(200_000):
        if hash((word, shelf, number)) % 97 == 0:
            hits += 1
    return hits


def render_invoice(number: int) -> int:
    """Take some 250 ms of CPU time."""
    prices = random.Random(number)  # noqa: S311  not a secret
    total = 0
    for _ in range(700_000):
        total += round_price(prices.random())
    return total


def round_price(price: float) -> int:
    """Round a price to whole cents."""
    return int(price * 100 + 0.5)


def resize_image(name: str) -> str:
    """Take some 250 ms of CPU time."""
    digest = name.encode()
    for _ in range(250_000):
        digest = hashlib.sha256(digest).digest()
    return digest.hex()
