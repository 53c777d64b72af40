"""A Flask application that uses CPU time in a view, in a thread pool, and in a streaming body.

Start it with `flask --app example_apps.flask_app run`, and open
http://localhost:5000/invoice/7. Its profiles go to PYROSCOPE_SERVER_ADDRESS, by
default http://localhost:4040, and its traces to OTEL_EXPORTER_OTLP_ENDPOINT, by
default nowhere.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

from flask import Flask, Response

from pyroscope_otel_flask import Pyroscope

GOODS = ("tea", "cups", "kettle", "lemon")

app = Flask(__name__)
Pyroscope(app, application_name="flask-shop")

threads = ThreadPoolExecutor(4)


@app.get("/invoice/<int:number>")
def invoice(number: int):
    """Work in the view."""
    return {"number": number, "total": total(number)}


@app.post("/thumbnail/<name>")
def thumbnail(name: str):
    """Work in a thread pool."""
    return {"name": name, "digest": threads.submit(resize_image, name).result()}


@app.get("/prices")
def prices():
    """Work after the view returns, while the response is sent."""
    lines = (f"{article}: {find_price(article)}\n" for article in GOODS)
    return Response(lines, content_type="text/plain")


def total(number: int) -> int:
    """Take some 100 ms of CPU time."""
    return sum(hash((number, line)) % 100 for line in range(600_000))


def resize_image(name: str) -> str:
    """Take some 250 ms of CPU time."""
    digest = name.encode()
    for _ in range(250_000):
        digest = hashlib.sha256(digest).digest()
    return digest.hex()


def find_price(article: str) -> int:
    """Take some 50 ms of CPU time."""
    return sum(hash((article, offer)) % 100 for offer in range(300_000)) // 1000
