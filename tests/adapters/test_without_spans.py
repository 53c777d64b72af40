"""With a `NoOpTracerProvider`, each adapter serves as before.

Each case runs in its own process: the global tracer provider can be set once.
"""

from __future__ import annotations

import pytest

from tests.support.child import run

BEGIN = """
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
import pyroscope_otel
from opentelemetry import trace
from opentelemetry.trace import NoOpTracerProvider
SETTINGS = {"application_name": "shop", "server_address": "http://127.0.0.1:9"}

def answer():
    print(trace.get_current_span().is_recording(), pyroscope_otel.current_profile_id())
    return "answered"
"""

ASGI = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from pyroscope_otel.asgi import PyroscopeMiddleware

async def index(request):
    return PlainTextResponse(answer())

app = Starlette(routes=[Route("/", index)])
app.add_middleware(PyroscopeMiddleware, **SETTINGS)
with TestClient(app) as client:
    print(client.get("/").text)
"""

WSGI = """
from pyroscope_otel.wsgi import PyroscopeMiddleware

def index(environ, start_response):
    start_response("200 OK", [])
    return [answer().encode()]

app = PyroscopeMiddleware(index, **SETTINGS)
from wsgiref.util import setup_testing_defaults
environ = {}
setup_testing_defaults(environ)
print(b"".join(app(environ, lambda *_: None)).decode())
"""

FLASK = """
from flask import Flask
from pyroscope_otel_flask import Pyroscope
app = Flask("shop")
app.add_url_rule("/", view_func=answer)
Pyroscope(app, **SETTINGS)
print(app.test_client().get("/").text)
"""

DJANGO = """
from types import ModuleType
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

sys.modules["urls"] = urls = ModuleType("urls")
urls.urlpatterns = [path("", lambda request: HttpResponse(answer()))]
settings.configure(
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["pyroscope_otel_django"],
    MIDDLEWARE=["pyroscope_otel_django.middleware.PyroscopeMiddleware"],
    PYROSCOPE={name.upper(): value for name, value in SETTINGS.items()},
    ROOT_URLCONF="urls",
)
django.setup()
from django.test import Client
print(Client().get("/").content.decode())
"""

FRAMEWORKS = {"asgi": ASGI, "wsgi": WSGI, "flask": FLASK, "django": DJANGO}


@pytest.mark.parametrize("app", FRAMEWORKS.values(), ids=FRAMEWORKS)
@pytest.mark.parametrize(
    "provider",
    [
        "trace.set_tracer_provider(NoOpTracerProvider())\n",
        "SETTINGS['tracer_provider'] = NoOpTracerProvider()\n",
    ],
    ids=["global", "given"],
)
def test_adapter_serves_without_links_and_logs_it_once(provider, app):
    warning, inside, answered = run(BEGIN + provider + app)
    assert warning.startswith("WARNING The tracer provider is OpenTelemetry's NoOpTracerProvider")
    assert (inside, answered) == ("False None", "answered")
