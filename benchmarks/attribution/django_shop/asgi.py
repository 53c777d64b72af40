"""The shop as an ASGI application."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

import pyroscope_otel

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.attribution.django_shop.settings")
serve = get_asgi_application()


async def application(scope, receive, send):
    if scope["type"] != "lifespan":
        await serve(scope, receive, send)
        return
    # Django has no lifespan, at whose end the last samples would be pushed.
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    pyroscope_otel.shutdown()
    await send({"type": "lifespan.shutdown.complete"})
