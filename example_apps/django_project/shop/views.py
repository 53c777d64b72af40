"""Views that use CPU time: a sync view, an async view, and a streaming view."""

import asyncio

from django.http import JsonResponse, StreamingHttpResponse

GOODS = ("tea", "cups", "kettle", "lemon")


def invoice(request, number):
    """Work in the view."""
    return JsonResponse({"number": number, "profile": request.pyroscope_profile_id} | total(number))


async def search(request, word):  # noqa: ARG001  Django passes it
    """Work on the event loop, in turns with other requests."""
    hits = 0
    for shelf in range(4):
        hits += rank_results(word, shelf)
        await asyncio.sleep(0)  # where a real view would query a database
    return JsonResponse({"hits": hits})


def prices(request):  # noqa: ARG001  Django passes it
    """Work after the view returns, while the response is sent."""
    return StreamingHttpResponse(price_list(), content_type="text/plain")


def price_list():
    """Yield a line for each article as soon as its price is known."""
    for article in GOODS:
        yield f"{article}: {find_price(article)}\n"


def total(number):
    """Take some 100 ms of CPU time."""
    return {"total": sum(hash((number, line)) % 100 for line in range(600_000))}


def rank_results(word, shelf):
    """Take some 40 ms of CPU time."""
    return sum(hash((word, shelf, number)) % 97 == 0 for number in range(200_000))


def find_price(article):
    """Take some 50 ms of CPU time."""
    return sum(hash((article, offer)) % 100 for offer in range(300_000)) // 1000
