"""A small web shop: the demo's example service.

Each route spends its CPU time in a different way, in functions of its own. To start it alone,
run `python -m uvicorn pyroscope_otel.tools.demo.shop:app`. Profiles go to
PYROSCOPE_SERVER_ADDRESS, and traces to OTEL_EXPORTER_OTLP_ENDPOINT.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from opentelemetry import trace
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from pyroscope_otel.asgi import PyroscopeMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

tracer = trace.get_tracer(__name__)

PAGES, LINES = 6, 40


class CardDeclined(Exception):  # noqa: N818  the name that a shop would use
    """The bank refused the payment."""


async def invoice(request: Request) -> JSONResponse:
    """Work on the event loop, one invoice line at a time, in turns of 1 to 2 ms."""
    number = request.path_params["number"]
    total = 0
    for page in range(PAGES):
        with tracer.start_as_current_span("price a page"):
            for line in range(page * LINES, (page + 1) * LINES):
                await ask_database()
                total += price_line(number, line)
                total += add_tax(total)
                if is_wholesale(number):
                    total -= find_discounts(line)
    return JSONResponse({"number": number, "total": total})


async def report(request: Request) -> JSONResponse:
    """Work on the event loop, one hour of sales at a time, in turns of half a millisecond."""
    month = request.path_params["month"]
    best: list[int] = []
    for week in range(PAGES):
        with tracer.start_as_current_span("draw a week"):
            for hour in range(week * LINES, (week + 1) * LINES):
                await ask_database()
                best += rank_products(month, hour)
                draw_chart(best)
    return JSONResponse({"month": month, "best": best[:10]})


async def search(request: Request) -> JSONResponse:
    """Answer fast, after CPU time for two or three samples."""
    return JSONResponse({"hits": match_words(request.path_params["word"])})


async def thumbnail(request: Request) -> JSONResponse:
    """Hand the work to a thread pool, so that the event loop serves other requests."""
    size = await asyncio.to_thread(resize_image, request.path_params["name"])
    return JSONResponse({"size": size})


async def catalog(_request: Request) -> JSONResponse:
    """Allocate memory for all products at once."""
    return JSONResponse({"products": len(load_products())})


def stock(request: Request) -> JSONResponse:
    """Work in a worker thread, where Starlette runs plain functions."""
    return JSONResponse({"items": count_items(request.path_params["shelf"])})


async def orders(_request: Request) -> StreamingResponse:
    """Stream the response: the work happens after this function has returned."""
    return StreamingResponse(write_rows(), media_type="text/csv")


async def receipt(request: Request) -> JSONResponse:
    """Answer at once, and work in a background task, when the root span has ended."""
    task = BackgroundTask(send_receipt, request.path_params["order"])
    return JSONResponse({"status": "will be sent"}, background=task)


async def payment(request: Request) -> JSONResponse:
    """Fail, after some work."""
    signature = sign_payment(request.path_params["order"])
    await ask_database()
    raise CardDeclined(f"the bank declined payment {signature:08x}")


def health(_request: Request) -> JSONResponse:
    """Do no work: such a request has a profile without samples."""
    return JSONResponse({"status": "ok"})


async def ask_database() -> None:
    """Wait, as for a database, while the event loop serves other requests."""
    await asyncio.sleep(0.001)


def is_wholesale(number: int) -> bool:
    """Return whether an order is a large one, with a slow invoice."""
    return number >= 9000  # noqa: PLR2004  the first number of a large order


# These functions use loops: comprehensions and lambdas would add frames without a name.


def price_line(number: int, line: int) -> int:
    """Use about 0.5 ms."""
    prices = random.Random(number + line)  # noqa: S311  example data
    total = 0
    for _ in range(3_800):
        total += round_to_cents(prices.random())
    return total


def round_to_cents(price: float) -> int:
    """Use part of the time of `price_line`."""
    return int(price * 100 + 0.5)


def add_tax(total: int) -> int:
    """Use about 0.3 ms."""
    tax = 0
    for rate in range(5_000):
        tax = (tax + total * (rate % 19)) % 1_000_003
    return tax


def find_discounts(line: int) -> int:
    """Use about 0.6 ms, to compare each product with each coupon."""
    found = 0
    for product in range(170):
        for coupon in range(170):
            if product * coupon == line:
                found += 1
    return found


def rank_products(month: str, hour: int) -> list[int]:
    """Use about 0.3 ms."""
    sold = random.Random(f"{month} {hour}")  # noqa: S311  example data
    sales = []
    for _ in range(2_000):
        sales.append(sold.random())  # noqa: PERF401  as above
    return sorted(range(len(sales)), key=sales.__getitem__)[:3]


def draw_chart(values: list[int]) -> int:
    """Use about 0.4 ms."""
    height = 1
    for column in range(3_000):
        height = max(height, values[column % len(values)] % 997)
    return height


def match_words(word: str) -> int:
    """Use about 25 ms."""
    hits = 0
    for product in range(200_000):
        if hash((word, product)) % 97 == 0:
            hits += 1
    return hits


def load_products() -> list[dict[str, str]]:
    """Use about 100 ms, and 30 MB of memory."""
    products = []
    for number in range(60_000):
        products.append(describe_product(number))  # noqa: PERF401  as above
    return products


def describe_product(number: int) -> dict[str, str]:
    """Use most of the memory of `load_products`."""
    return {"name": f"product {number}", "text": "tea " * 60 + str(number)}


def resize_image(name: str) -> int:
    """Use about 150 ms."""
    total = 0
    for row in range(500):
        total += average_pixels(row, len(name))
    return total


def average_pixels(row: int, seed: int) -> int:
    """Use nearly all the time of `resize_image`."""
    total = 0
    for column in range(4_000):
        total += (row * column + seed) % 256
    return total // 4_000


def count_items(shelf: str) -> int:
    """Use about 100 ms."""
    items = 0
    for box in range(1_500_000):
        if (box * len(shelf)) % 7 == 3:  # noqa: PLR2004  as good as any
            items += 1
    return items


def write_rows() -> Iterator[str]:
    """Use about 150 ms, in twenty pieces."""
    for page in range(20):
        rows = []
        for line in range(20_000):
            rows.append(format_row(page, line))  # noqa: PERF401  as above
        yield "".join(rows)


def format_row(page: int, line: int) -> str:
    """Use part of the time of `write_rows`."""
    return f"{page},{line},{line * 19 % 100}\n"


async def send_receipt(order: int) -> None:
    """Use the time of `print_receipt`, and wait, as for a mail server."""
    print_receipt(order)
    await asyncio.sleep(0.3)


def print_receipt(order: int) -> int:
    """Use about 60 ms."""
    ink = 0
    for dot in range(600_000):
        ink += (dot * order) % 2
    return ink


def sign_payment(order: int) -> int:
    """Use about 60 ms."""
    signature = order
    for _ in range(500_000):
        signature = (signature * 1_103_515_245 + 12_345) % 2**32
    return signature


app = Starlette(
    routes=[
        Route("/invoice/{number:int}", invoice),
        Route("/report/{month}", report),
        Route("/search/{word}", search),
        Route("/catalog", catalog),
        Route("/thumbnail/{name}", thumbnail, methods=["POST"]),
        Route("/stock/{shelf}", stock),
        Route("/orders.csv", orders),
        Route("/receipt/{order:int}", receipt, methods=["POST"]),
        Route("/payment/{order:int}", payment, methods=["POST"]),
        Route("/health", health),
    ],
    middleware=[
        Middleware(PyroscopeMiddleware, application_name="shop"),
    ],
)
