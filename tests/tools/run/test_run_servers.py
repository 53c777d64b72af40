"""Applications without tracing, under common servers: each request has a flame graph."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyroscope_otel.setup.sampler import stack_uses_thread_clocks
from tests.tools.command_process import ask
from tests.tools.run.run_process import WORK, environment, free_port, running

pytestmark = pytest.mark.timeout(300)

FASTAPI = f"""
from fastapi import FastAPI
{WORK}
app = FastAPI()

@app.get("/invoice/{{number}}")
async def invoice(number: int):
    price_lines()
    return number
"""

STARLETTE = f"""
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
{WORK}
async def invoice(request):
    price_lines()
    return PlainTextResponse("paid")

app = Starlette(routes=[Route("/invoice/{{number}}", invoice)])
"""

FLASK = f"""
import os
from flask import Flask
{WORK}
app = Flask(__name__)

@app.get("/invoice/<int:number>")
def invoice(number):
    price_lines()
    return "paid"

@app.get("/process")
def process():
    return str(os.getpid())
"""

FASTAPI_ROUTE = "GET /invoice/{number}"
FLASK_ROUTE = "GET /invoice/<int:number>"


@pytest.fixture
def port():
    return free_port()


@pytest.mark.parametrize("options", [(), ("--reload",), ("--workers", "2")], ids=str)
def test_uvicorn(tmp_path, port, options):
    (tmp_path / "shop.py").write_text(FASTAPI)
    with running(tmp_path, "uvicorn", "--port", port, *options, "shop:app") as run:
        assert run.answer(port, "/invoice/7") == b"7"
        request = run.profiled(FASTAPI_ROUTE)
        assert request["service"] == "shop"
        assert request["kind"] == "server"


def test_starlette(tmp_path, port):
    (tmp_path / "shop.py").write_text(STARLETTE)
    with running(tmp_path, "uvicorn", "--port", port, "shop:app") as run:
        run.answer(port, "/invoice/7")
        run.profiled(FASTAPI_ROUTE)


def test_fastapi_is_traced_once(tmp_path, port):
    (tmp_path / "shop.py").write_text(FASTAPI)
    with running(tmp_path, "uvicorn", "--port", port, "shop:app") as run:
        run.answer(port, "/invoice/7")
        request = run.profiled(FASTAPI_ROUTE)
        spans = ask(run.url, f"requests/{request['profile_id']}")["spans"]
        assert [one["name"] for one in spans].count(FASTAPI_ROUTE) == 1
        assert run.end() == 143  # uvicorn raises the signal again
        assert "1 request. The slowest:" in run.printed


def test_output_names_the_sampler(tmp_path, port):
    (tmp_path / "shop.py").write_text(FASTAPI)
    with running(tmp_path, "uvicorn", "--port", port, "shop:app") as run:
        run.answer(port, "/invoice/7")
        request = run.profiled(FASTAPI_ROUTE)
        run.end()
        name, source = ("stack", "clock") if stack_uses_thread_clocks() else ("pyspy", "samples")
        assert request["cpu_from"] == source
        assert f"(sampler {name})" in run.printed


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=str)
def test_gunicorn_with_two_workers(tmp_path, port, options):
    (tmp_path / "shop.py").write_text(FLASK)
    words = ("gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", *options, "shop:app")
    with running(tmp_path, *words) as run:
        run.answer(port, "/process")
        before = requests_until_both_workers_served(run, port)
        assert run.answer(port, "/invoice/7") == b"paid"
        run.profiled(FLASK_ROUTE)
        assert run.end() == 0
        # Each worker exports its spans when it ends.
        assert f"{before + 2} requests. The slowest:" in run.printed


def requests_until_both_workers_served(run, port):
    """Make requests until two processes have answered, and return their number."""
    serving, times = set(), 0
    while len(serving) < 2:
        with ThreadPoolExecutor(4) as clients:
            serving |= set(clients.map(lambda path: run.answer(port, path), ["/process"] * 4))
        times += 4
    return times


@pytest.mark.parametrize("options", [(), ("--debug",)], ids=str)
def test_flask_run(tmp_path, port, options):
    (tmp_path / "shop.py").write_text(FLASK)
    with running(tmp_path, "flask", "--app", "shop", "run", "-p", port, *options) as run:
        run.answer(port, "/invoice/7")
        assert run.profiled(FLASK_ROUTE)["service"] == "shop"


def test_script_that_serves(tmp_path, port):
    (tmp_path / "serve.py").write_text(f"{FLASK}\napp.run(port={port})\n")
    with running(tmp_path, "python", "serve.py") as run:
        run.answer(port, "/invoice/7")
        run.profiled(FLASK_ROUTE)
        run.end()
        assert "1 request. The slowest:" in run.printed  # the script is no request itself


DJANGO = {
    "manage.py": """
import os
import sys
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    execute_from_command_line(sys.argv)
""",
    "settings.py": """
SECRET_KEY = "secret"
DEBUG = True
ROOT_URLCONF = "urls"
USE_TZ = True
MIDDLEWARE = ("django.middleware.common.CommonMiddleware",)
""",
    "urls.py": f"""
from django.http import HttpResponse
from django.urls import path
{WORK}
def invoice(request, number):
    price_lines()
    return HttpResponse("paid")

urlpatterns = [path("invoice/<int:number>", invoice)]
""",
}


def test_runserver_with_its_reloader(tmp_path, port):
    for name, code in DJANGO.items():
        (tmp_path / name).write_text(code)
    with running(tmp_path, "python", "manage.py", "runserver", port) as run:
        run.answer(port, "/invoice/7")
        request = run.profiled("GET invoice/<int:number>")
        assert request["service"] == tmp_path.name


def test_wsgi_module_of_django(tmp_path, port):
    """It imports Django's handlers before it sets DJANGO_SETTINGS_MODULE."""
    for name, code in DJANGO.items():
        (tmp_path / name).write_text(code)
    (tmp_path / "wsgi.py").write_text(
        "import os\n"
        "from django.core.wsgi import get_wsgi_application\n"
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'settings')\n"
        "application = get_wsgi_application()\n"
    )
    with running(tmp_path, "gunicorn", "-b", f"127.0.0.1:{port}", "wsgi") as run:
        run.answer(port, "/invoice/7")
        run.profiled("GET invoice/<int:number>")


# Not a folder as the queue: kombu's worker may read a message that is only half written.
CELERY = f"""
from pathlib import Path
from celery import Celery
{WORK}
folder = Path(__file__).parent
app = Celery(
    "shop",
    broker=f"sqla+sqlite:///{{folder / 'queue.sqlite'}}",
    backend=(folder / "results").as_uri(),
)

@app.task(name="invoice")
def invoice(number):
    price_lines()
    return number
"""


@pytest.fixture
def celery(tmp_path):
    """A folder with the application and its queue, and a function that sends a task and waits."""
    (tmp_path / "shop.py").write_text(CELERY)
    (tmp_path / "results").mkdir()

    def send():
        code = "from shop import invoice; print(invoice.delay(7).get(timeout=90))"
        sent = [sys.executable, "-c", code]
        assert subprocess.check_output(sent, cwd=tmp_path, env=environment()) == b"7\n"

    return tmp_path, send


WORKER = ("celery", "-A", "shop", "worker", "-c", "2")


def test_celery(celery):
    folder, send = celery
    with running(folder, *WORKER) as run:
        run.wait_for("celery@")
        send()
        request = run.profiled("run/invoice")
        assert request["service"] == "shop"
        assert request["kind"] == "consumer"


def test_celery_uploads_the_last_samples(celery):
    folder, send = celery
    # Longer than the test: everything is sent at the end.
    seldom = {"PYROSCOPE_UPLOAD_INTERVAL": "600s", "OTEL_BSP_SCHEDULE_DELAY": "600000"}
    with running(folder, *WORKER, **seldom) as run:
        run.wait_for("celery@")
        send()
        assert run.end() == 0
        assert re.search(r"1 request\. The slowest:\n.* run/invoice\n.*price_lines", run.printed)


def test_with_opentelemetry_instrument(tmp_path, port):
    (tmp_path / "shop.py").write_text(FASTAPI)
    words = ("opentelemetry-instrument", "uvicorn", "--port", port, "shop:app")
    with running(tmp_path, *words) as run:
        run.answer(port, "/invoice/7")
        run.profiled(FASTAPI_ROUTE)


def test_application_with_its_own_tracer_provider(tmp_path, port):
    own = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

provider = TracerProvider()
trace.set_tracer_provider(provider)
provider.add_span_processor(
    SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: f"exported {span.name}\\n"))
)
"""
    route = "own tracer"
    more = f"""
@app.get("/own")
def own():
    from opentelemetry.context import Context

    with provider.get_tracer("own").start_as_current_span("{route}", Context()):
        price_lines()
    return "paid"
"""
    (tmp_path / "shop.py").write_text(own + FLASK + more)
    words = ("flask", "--app", "shop", "run", "-p", port)
    # Stack attributes a root span that is made current by hand to the request around it.
    with running(tmp_path, *words, options=("--port", "0", "--sampler", "pyspy")) as run:
        run.answer(port, "/invoice/7")
        run.profiled(FLASK_ROUTE)
        run.answer(port, "/own")
        run.profiled(route)
        assert f"exported {FLASK_ROUTE}\n" in run.printed
        assert f"exported {route}\n" in run.printed
        assert run.printed.count(f"exported {route}\n") == 1
        assert "Overriding" not in run.printed
