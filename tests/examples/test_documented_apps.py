"""The applications of docs/asgi.md and docs/wsgi.md, started as the pages say."""

from __future__ import annotations

import importlib.util
import re
import shlex
import signal

import pytest

from tests.examples.started import ROOT, started
from tests.support import child

PAGES = ("asgi.md", "wsgi.md")


def text_of(page):
    return (ROOT / "docs" / page).read_text()


def framework_of(code):
    """Return the package of the code's first `from` import."""
    return re.findall(r"^from (\w+)", code, re.MULTILINE)[0]


def applications():
    """Return the page and the code of each complete application."""
    return [
        pytest.param(page, code, id=f"{page}-{framework_of(code)}")
        for page in PAGES
        for code in re.findall(r"```python\n(# shop\.py\n.*?)```", text_of(page), re.DOTALL)
    ]


def test_each_page_has_applications():
    assert [param.id for param in applications()] == [
        "asgi.md-fastapi",
        "asgi.md-starlette",
        "asgi.md-litestar",
        "asgi.md-quart",
        "wsgi.md-pyroscope_otel",
    ]


def commands(page):
    """Return the command that starts the application, and the path to request."""
    shells = "\n".join(re.findall(r"```sh\n(.*?)```", text_of(page), re.DOTALL))
    (start,) = re.findall(r"^(?:uvicorn|gunicorn) .*$", shells, re.MULTILINE)
    (path,) = re.findall(r"^curl localhost:8000(/.*)$", shells, re.MULTILINE)
    return shlex.split(start), path


def names(page):
    """Return the documented name of the root span, by framework."""
    rows = re.findall(r"^\| ([\w, ]+) \| `([^`]+)` \|$", text_of(page), re.MULTILINE)
    return {
        framework.lower(): name
        for frameworks, name in rows
        for framework in re.split(r", | and ", frameworks)
    }


@pytest.mark.parametrize(("page", "code"), applications())
def test_documented_application_is_linked(page, code, tmp_path):
    framework = framework_of(code)
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    (tmp_path / "shop.py").write_text(code)
    command, path = commands(page)
    with started(None, command=command, folder=tmp_path) as example:
        assert example.get(path) == b"199999990000000"
        link = example.link(names(page).get(framework, "GET"))
    assert "sum_up" in link.functions
    assert link.span.resource["service.name"] == "shop"


def test_without_a_lifespan_sigterm_loses_the_last_samples(tmp_path):
    """docs/asgi.md says so. If this fails, correct the page."""
    (tmp_path / "shop.py").write_text(applications()[1].values[1])
    with started(
        None,
        "--lifespan=off",
        command=commands("asgi.md")[0],
        folder=tmp_path,
        environment={"PYROSCOPE_UPLOAD_INTERVAL": "3600s"},
        stop=signal.SIGTERM,
    ) as example:
        example.get(commands("asgi.md")[1])
    assert example.profiles == []


def test_code_outside_the_middleware_belongs_to_no_request():
    """Code inside it belongs to the request: "outermost is best" in docs/asgi.md."""
    lines = child.run(
        """
import asyncio, httpx
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from pyroscope_otel import current_profile_id
from pyroscope_otel.asgi import PyroscopeMiddleware

async def endpoint(request):
    return PlainTextResponse("sold")

async def look(request, call_next):
    print(current_profile_id() is not None)
    return await call_next(request)

async def ask(app):
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        assert (await client.get("/")).text == "sold"

for outermost in (True, False):
    app = Starlette(routes=[Route("/", endpoint)])
    if outermost:
        app.add_middleware(BaseHTTPMiddleware, dispatch=look)
    app.add_middleware(PyroscopeMiddleware, application_name="shop")
    if not outermost:
        app.add_middleware(BaseHTTPMiddleware, dispatch=look)
    asyncio.run(ask(app))
""",
        env={"PYROSCOPE_SERVER_ADDRESS": "http://127.0.0.1:9"},
    )
    assert lines == ["True", "False"]
