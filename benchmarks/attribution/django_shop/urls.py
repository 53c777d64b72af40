"""The views, each of which spends its time in a different way."""

from __future__ import annotations

import os

from asgiref.sync import sync_to_async
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

from benchmarks.attribution import ways
from benchmarks.attribution.spans import name_order


def health(request):  # noqa: ARG001  Django's
    return HttpResponse(str(os.getpid()))


def plain(request, order):  # noqa: ARG001
    name_order(order)
    ways.plain(order)
    return HttpResponse("done")


def stream(request, order):  # noqa: ARG001
    name_order(order)
    return StreamingHttpResponse(ways.stream(order))


async def async_view(request, order):  # noqa: ARG001
    name_order(order)
    await ways.async_plain(order)
    return HttpResponse("done")


async def async_stream(request, order):  # noqa: ARG001
    name_order(order)
    return StreamingHttpResponse(ways.async_stream(order))


async def sync_to_async_view(request, order):  # noqa: ARG001
    name_order(order)
    await sync_to_async(ways.plain, thread_sensitive=False)(order)
    return HttpResponse("done")


urlpatterns = [
    path("health", health),
    path("plain/<int:order>", plain),
    path("stream/<int:order>", stream),
    path("async_view/<int:order>", async_view),
    path("async_stream/<int:order>", async_stream),
    path("sync_to_async/<int:order>", sync_to_async_view),
]
