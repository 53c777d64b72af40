"""A small web shop, to have something to look at: the demo's example service.

Each route spends its CPU time in another way, and in functions of its own. Start
it by itself with `python -m uvicorn pyroscope_otel.demo.shop:app`: its profiles go
to PYROSCOPE_SERVER_ADDRESS, its traces to OTEL_EXPORTER_OTLP_ENDPOINT.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from opentelemetry import trace
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from pyroscope_otel.asgi import PyroscopeMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

tracer = trace.get_tracer(__name__)


class CardDeclined(Exception):  # noqa: N818  what the shop calls it
    """The bank does not pay."""


async def invoice(request: Request) -> JSONResponse:
    """Work on the event loop, in turns with other requests: a page of the invoice at a time."""
    number = request.path_params["number"]
    total = 0
    for page in range(6):
        await ask_database()
        with tracer.start_as_current_span("price a page"):
            total += price_lines(number, page)
            total += add_tax(total)
            if is_wholesale(number):
                total -= find_discounts(page)
    return JSONResponse({"number": number, "total": total})


async def report(request: Request) -> JSONResponse:
    """Work on the event loop as well: a week of the report at a time."""
    month = request.path_params["month"]
    best: list[int] = []
    for week in range(6):
        await ask_database()
        with tracer.start_as_current_span("draw a week"):
            best += rank_products(month, week)
            draw_chart(best)
    return JSONResponse({"month": month, "best": best[:10]})


async def search(request: Request) -> JSONResponse:
    """Answer fast: the CPU time is that of two or three samples."""
    return JSONResponse({"hits": match_words(request.path_params["word"])})


async def thumbnail(request: Request) -> JSONResponse:
    """Hand the work to a thread pool, while the event loop serves others."""
    size = await asyncio.to_thread(resize_image, request.path_params["name"])
    return JSONResponse({"size": size})


def stock(request: Request) -> JSONResponse:
    """Work in a worker thread: Starlette runs a plain function there."""
    return JSONResponse({"items": count_items(request.path_params["shelf"])})


async def orders(_request: Request) -> StreamingResponse:
    """Stream: the work is done after this function has returned."""
    return StreamingResponse(write_rows(), media_type="text/csv")


async def payment(request: Request) -> JSONResponse:
    """Fail, after some work."""
    signature = sign_payment(request.path_params["order"])
    await ask_database()
    raise CardDeclined(f"the bank declined payment {signature:08x}")


def health(_request: Request) -> JSONResponse:
    """Do no work: such a request has a profile, and no samples in it."""
    return JSONResponse({"status": "ok"})


async def ask_database() -> None:
    """Wait, as for a database: meanwhile the event loop serves others."""
    await asyncio.sleep(0.02)


def is_wholesale(number: int) -> bool:
    """Tell the large orders, which have slow invoices."""
    return number >= 9000  # noqa: PLR2004  where their numbers begin


# Loops, not comprehensions or lambdas: those are frames of their own, without a name.


def price_lines(number: int, page: int) -> int:
    """Take some 30 ms."""
    prices = random.Random(number + page)  # noqa: S311  prices of nobody's
    total = 0
    for _ in range(190_000):
        total += round_to_cents(prices.random())
    return total


def round_to_cents(price: float) -> int:
    """Take a part of what `price_lines` does."""
    return int(price * 100 + 0.5)


def add_tax(total: int) -> int:
    """Take some 20 ms."""
    tax = 0
    for rate in range(250_000):
        tax = (tax + total * (rate % 19)) % 1_000_003
    return tax


def find_discounts(page: int) -> int:
    """Take some 40 ms: each line is compared with each coupon."""
    found = 0
    for line in range(1_200):
        for coupon in range(1_200):
            if line * coupon == page:
                found += 1
    return found


def rank_products(month: str, week: int) -> list[int]:
    """Take some 30 ms."""
    sold = random.Random(f"{month} {week}")  # noqa: S311  sales of nobody's
    sales = []
    for _ in range(100_000):
        sales.append(sold.random())  # noqa: PERF401  as above
    return sorted(range(len(sales)), key=sales.__getitem__)[:3]


def draw_chart(values: list[int]) -> int:
    """Take some 20 ms."""
    height = 1
    for column in range(150_000):
        height = max(height, values[column % len(values)] % 997)
    return height


def match_words(word: str) -> int:
    """Take some 25 ms."""
    hits = 0
    for product in range(200_000):
        if hash((word, product)) % 97 == 0:
            hits += 1
    return hits


def resize_image(name: str) -> int:
    """Take some 150 ms."""
    total = 0
    for row in range(500):
        total += average_pixels(row, len(name))
    return total


def average_pixels(row: int, seed: int) -> int:
    """Take nearly all of what `resize_image` does."""
    total = 0
    for column in range(4_000):
        total += (row * column + seed) % 256
    return total // 4_000


def count_items(shelf: str) -> int:
    """Take some 100 ms."""
    items = 0
    for box in range(1_500_000):
        if (box * len(shelf)) % 7 == 3:  # noqa: PLR2004  as good as any
            items += 1
    return items


def write_rows() -> Iterator[str]:
    """Take some 150 ms, in twenty pieces."""
    for page in range(20):
        rows = []
        for line in range(20_000):
            rows.append(format_row(page, line))  # noqa: PERF401  as above
        yield "".join(rows)


def format_row(page: int, line: int) -> str:
    """Take a part of what `write_rows` does."""
    return f"{page},{line},{line * 19 % 100}\n"


def sign_payment(order: int) -> int:
    """Take some 60 ms."""
    signature = order
    for _ in range(500_000):
        signature = (signature * 1_103_515_245 + 12_345) % 2**32
    return signature


app = Starlette(
    routes=[
        Route("/invoice/{number:int}", invoice),
        Route("/report/{month}", report),
        Route("/search/{word}", search),
        Route("/thumbnail/{name}", thumbnail, methods=["POST"]),
        Route("/stock/{shelf}", stock),
        Route("/orders.csv", orders),
        Route("/payment/{order:int}", payment, methods=["POST"]),
        Route("/health", health),
    ],
    middleware=[
        Middleware(PyroscopeMiddleware, application_name="shop"),
    ],
)
