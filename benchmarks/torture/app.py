"""The application under stress: FastAPI, with everything that could trip up a sampler."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from opentelemetry.sdk.trace import TracerProvider

from benchmarks.torture import work
from benchmarks.torture.work import TURN_SECONDS, TURNS, burn
from pyroscope_otel.asgi import PyroscopeMiddleware


def make_app() -> FastAPI:
    """Return the application, and start the stress."""
    work.enable_faulthandler_first()
    provider = TracerProvider()
    app = FastAPI()
    app.add_middleware(PyroscopeMiddleware, tracer_provider=provider, **work.settings())

    @app.get("/turns")
    async def turns() -> dict[str, float]:
        spent = 0.0
        for _ in range(TURNS):
            spent += burn(TURN_SECONDS)
            await asyncio.sleep(0)
        return {"spent": spent}

    @app.get("/thread")
    def thread() -> dict[str, float]:
        return {"spent": burn(TURNS * TURN_SECONDS)}

    @app.get("/deep")
    async def deep() -> dict[str, float]:
        return {"spent": work.deep(300)}

    @app.get("/extensions")
    def extensions() -> dict[str, float]:
        return {"spent": work.use_extensions()}

    @app.get("/processes")
    def processes() -> dict[str, float]:
        return {"spent": work.start_processes()}

    @app.get("/numbers")
    def numbers() -> dict[str, int]:
        return work.numbers()

    work.begin_stress(provider.get_tracer("torture"))
    return app
