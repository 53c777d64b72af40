"""Requests that go on after their root span: the page shows when they were let go."""

from __future__ import annotations

import pytest

from pyroscope_otel.tools.serve import LocalServer
from tests.tools.command_process import ask, wait_until
from tests.tools.run.run_process import free_port, running

pytestmark = pytest.mark.timeout(300)

WAIT_NS = 990_000_000  # a second, for clocks that differ a little

# What follows the response only waits: no sample says that it happens.
FASTAPI = """
import asyncio
import time
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()

async def rows():
    yield "a row"
    await asyncio.sleep(1)
    yield "another"

@app.get("/stream")
async def stream():
    return StreamingResponse(rows())

async def send_mail():
    await asyncio.sleep(1)

@app.get("/async-task")
async def async_task(tasks: BackgroundTasks):
    tasks.add_task(send_mail)

@app.get("/task")
def task(tasks: BackgroundTasks):
    tasks.add_task(time.sleep, 1)

@app.get("/plain")
async def plain():
    return "paid"
"""

FLASK = """
import time
from flask import Flask

app = Flask(__name__)

@app.get("/stream")
def stream():
    def rows():
        yield "a row"
        time.sleep(1)
        yield "another"

    return rows()

@app.get("/plain")
def plain():
    return "paid"
"""


@pytest.fixture
def port():
    return free_port()


def requests(url, route):
    listed = ask(url, "requests?limit=500")["requests"]
    return [one for one in listed if one["route"] == route]


def arrived(run, url, route, count=1):
    """Wait for so many requests of a route; return them."""

    def found():
        listed = requests(url, route)
        return listed if len(listed) == count else None

    return wait_until(found, lambda: f"{count} of {route}; printed:\n{run.printed}")


def held(run, route):
    """Wait until the server knows when a request was let go; return the request."""

    def found():
        return next((one for one in requests(run.url, route) if one["held_ns"]), None)

    return wait_until(found, lambda: f"the end of {route}; there are {requests(run.url, route)}")


def spans(run, request):
    return [one["name"] for one in ask(run.url, f"requests/{request['profile_id']}")["spans"]]


def test_fastapi(tmp_path, port):
    (tmp_path / "shop.py").write_text(FASTAPI)
    with running(tmp_path, "uvicorn", "--port", port, "shop:app") as run:
        for path in ("/plain", "/stream", "/task", "/async-task"):
            run.answer(port, path)
        for route in ("GET /task", "GET /async-task"):
            one = held(run, route)
            assert one["held_ns"] - one["duration_ns"] >= WAIT_NS
            assert "held" not in spans(run, one)
        # The root span of a stream lasts until its end.
        (streamed,) = arrived(run, run.url, "GET /stream")
        assert streamed["duration_ns"] >= WAIT_NS


def test_flask(tmp_path, port):
    (tmp_path / "shop.py").write_text(FLASK)
    words = ("flask", "--app", "shop", "run", "-p", port)
    with running(tmp_path, *words) as run:
        run.answer(port, "/stream")
        one = held(run, "GET /stream")
        assert one["held_ns"] - one["duration_ns"] >= WAIT_NS
        assert spans(run, one) == ["GET /stream"]
        # On a busy machine, the server may be late to close some of these.
        for _ in range(20):
            run.answer(port, "/plain")
        plain = arrived(run, run.url, "GET /plain", 20)
        assert None in [each["held_ns"] for each in plain]


def test_traces_that_go_elsewhere_have_no_such_span(tmp_path, port):
    """Another server would show it as a span of the application."""
    (tmp_path / "shop.py").write_text(FLASK)
    words = ("flask", "--app", "shop", "run", "-p", port)
    with (
        LocalServer(port=0, otlp_port=None) as other,
        running(
            tmp_path, *words, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{other.url}/v1/traces"
        ) as run,
    ):
        run.answer(port, "/stream")
        run.answer(port, "/plain")
        arrived(run, other.url, "GET /plain")  # spans are exported in order
        (one,) = requests(other.url, "GET /stream")
        assert one["held_ns"] is None
