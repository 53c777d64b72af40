"""Applications without tracing or profiling: `opentelemetry-instrument` adds both."""

from __future__ import annotations

import os

from fastapi import FastAPI
from flask import Flask

from benchmarks.attribution import ways

flask_app = Flask(__name__)
fastapi_app = FastAPI()


@flask_app.get("/process")
def process():
    return str(os.getpid())


@flask_app.get("/plain/<int:order>")
def plain(order):
    ways.plain(order)
    return process()


@fastapi_app.get("/process")
async def process_of_fastapi():
    return os.getpid()


@fastapi_app.get("/async_plain/{order}")
async def async_plain(order: int):
    await ways.async_plain(order)
    return os.getpid()
