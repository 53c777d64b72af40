"""A plain WSGI application that streams a price list.

Start it with `gunicorn example_apps.wsgi_app:app`, and open http://localhost:8000/.
Its profiles go to PYROSCOPE_SERVER_ADDRESS, by default http://localhost:4040, and
its traces to OTEL_EXPORTER_OTLP_ENDPOINT, by default nowhere.
"""

from __future__ import annotations

from pyroscope_otel.wsgi import PyroscopeMiddleware

GOODS = ("tea", "cups", "kettle", "lemon")


def price_list(environ, start_response):  # noqa: ARG001  WSGI passes it
    """Answer any request with a line for each article, sent as soon as it is known."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for article in GOODS:
        yield f"{article}: {find_price(article)}\n".encode()


def find_price(article: str) -> int:
    """Take some 50 ms of CPU time."""
    return sum(hash((article, offer)) % 100 for offer in range(300_000)) // 1000


app = PyroscopeMiddleware(price_list, application_name="prices")
