"""A shop on Flask."""

from __future__ import annotations

import os

from flask import Flask

from benchmarks.attribution import ways
from benchmarks.attribution.set_up import set_up_flask
from benchmarks.attribution.spans import name_order

app = Flask(__name__)


@app.get("/health")
def health():
    return str(os.getpid())


@app.get("/plain/<int:order>")
def plain(order):
    name_order(order)
    ways.plain(order)
    return "done"


@app.get("/stream/<int:order>")
def stream(order):
    name_order(order)
    return ways.stream(order)


@app.get("/thread_pool/<int:order>")
def thread_pool(order):
    name_order(order)
    ways.thread_pool(order)
    return "done"


@app.get("/async_view/<int:order>")
async def async_view(order):
    name_order(order)
    await ways.async_plain(order)
    return "done"


set_up_flask(app)
