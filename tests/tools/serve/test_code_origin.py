"""Own code and library code, told apart by path."""

import json
import sysconfig

import pytest

from pyroscope_otel.tools.serve.code_origin import is_own

LIBRARY = [
    "/usr/lib/python3.11/asyncio/base_events.py",
    "/usr/lib/python3/dist-packages/flask/app.py",
    "/usr/local/lib64/python3.13t/json/__init__.py",
    "/srv/venv/lib/python3.12/site-packages/fastapi/routing.py",
    r"C:\Python312\Lib\site-packages\flask\app.py",
    "<frozen importlib._bootstrap>",
    "<string>",
    "/srv/venv/bin/uvicorn",
    r"C:\srv\venv\Scripts\uvicorn-script.py",
    "",
    json.__file__,
    "/home/me/pyroscope-otel/pyroscope_otel/asgi.py",
    "/home/me/pyroscope-otel/pyroscope_otel_django/middleware.py",
    sysconfig.get_path("stdlib") + "/threading.py",
]
OWN = [
    "/srv/shop/views.py",
    "views.py",
    "/srv/shop/bin/worker.py",
    "/home/me/lib/python_things/views.py",
    "/srv/library/site-packages-of-mine.py",
    "/srv/venv/lib/python3.12/site-packages/pyroscope_otel/tools/demo/shop.py",
    __file__,
]


@pytest.mark.parametrize("file", LIBRARY)
def test_library(file):
    assert not is_own(file)


@pytest.mark.parametrize("file", OWN)
def test_own(file):
    assert is_own(file)
