"""A plain ASGI application that streams a report.

Start it with `uvicorn example_apps.asgi_app:app`, and open http://localhost:8000/.
Its profiles go to PYROSCOPE_SERVER_ADDRESS, by default http://localhost:4040, and
its traces to OTEL_EXPORTER_OTLP_ENDPOINT, by default nowhere.
"""

from __future__ import annotations

from pyroscope_otel.asgi import PyroscopeMiddleware

MONTHS = ("January", "February", "March", "April")


async def report(scope, receive, send):
    """Answer any request with a line for each month, sent as soon as it is known."""
    if scope["type"] == "lifespan":
        await start_and_stop(receive, send)
        return
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for month in MONTHS:
        line = f"{month}: {add_up_sales(month)}\n".encode()
        await send({"type": "http.response.body", "body": line, "more_body": True})
    await send({"type": "http.response.body"})


async def start_and_stop(receive, send):
    """Answer the lifespan: at its end the middleware uploads the last samples."""
    for _ in ("startup", "shutdown"):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})


def add_up_sales(month: str) -> int:
    """Take some 50 ms of CPU time."""
    return sum(hash((month, sale)) % 100 for sale in range(300_000))


app = PyroscopeMiddleware(report, application_name="reports")
