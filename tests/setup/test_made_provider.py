"""The application's own tracer provider replaces the one we made.

Each case runs in its own process: the global tracer provider can be set once.
"""

from __future__ import annotations

import pytest

from tests.support.child import run

BEGIN = """
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
import pyroscope_otel
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pyroscope_otel.setup import agent, tracing

exporter = InMemorySpanExporter()

def set_own(**resource):
    attributes = {"service.name": "shop", **resource}
    own = TracerProvider(resource=Resource(attributes))
    own.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(own)
    return own

def exported():
    return [(one.name, "pyroscope.profile.id" in one.attributes,
             one.resource.attributes["service.name"]) for one in exporter.get_finished_spans()]

SETTINGS = {"application_name": "shop", "server_address": "http://127.0.0.1:9"}
"""

WSGI = """
from wsgiref.util import setup_testing_defaults
from pyroscope_otel.wsgi import PyroscopeMiddleware

def index(environ, start_response):
    start_response("200 OK", [])
    return [b"x"]

app = PyroscopeMiddleware(index, **SETTINGS)

def request():
    environ = {}
    setup_testing_defaults(environ)
    list(app(environ, lambda *_: None))
"""

FLASK = """
from flask import Flask
from pyroscope_otel_flask import Pyroscope
app = Flask("shop")
app.add_url_rule("/", view_func=lambda: "x")
Pyroscope(app, **SETTINGS)

def request():
    app.test_client().get("/")
"""

ASGI = """
from tests.support.asgi_server import Exchange, http, run_asyncio
from pyroscope_otel.asgi import PyroscopeMiddleware

async def index(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})

app = PyroscopeMiddleware(index, **SETTINGS)

def request():
    async def work():
        await app(http("/"), *Exchange().ends)
    run_asyncio(work)
"""

ADAPTERS = {"wsgi": WSGI, "flask": FLASK, "asgi": ASGI}


@pytest.fixture(autouse=True)
def _adapters_on_the_path(monkeypatch, pytestconfig):
    monkeypatch.syspath_prepend(pytestconfig.rootpath / "tests" / "adapters")


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
def test_requests_go_to_the_provider_that_a_worker_sets_after_the_fork(adapter):
    """As with gunicorn --preload and OpenTelemetry's recipe for post_fork."""
    (line,) = run(
        BEGIN
        + adapter
        + """
pid = os.fork()
if pid == 0:
    set_own()
    for _ in range(2):
        request()
    print([(linked, service) for _, linked, service in exported()])
    sys.stdout.flush()
    os._exit(0)
os.waitpid(pid, 0)
""",
        python_arguments=["-W", "ignore::DeprecationWarning"],
    )
    assert line == "[(True, 'shop'), (True, 'shop')]"


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
def test_requests_before_the_replacement_have_profiles_too(adapter):
    (line, *_) = run(
        BEGIN
        + adapter
        + """
request()
set_own()
request()
print(len(exported()), exported()[0][1:])
"""
    )
    # Later lines are log lines: no server accepts the profiles.
    assert line == "1 (True, 'shop')"


def test_earlier_tracers_use_the_new_provider():
    """Celery's instrumentation has a tracer from before `worker_process_init`."""
    assert run(
        BEGIN
        + """
early = trace.get_tracer("early")
pyroscope_otel.configure(**SETTINGS)
kept = trace.get_tracer("kept")

@kept.start_as_current_span("decorated")
def decorated(): ...

with early.start_as_current_span("before"), kept.start_as_current_span("before"):
    decorated()
own = set_own()
for tracer in (early, kept, own.get_tracer("own")):
    with tracer.start_as_current_span("after"):
        pass
decorated()
print(exported() == [("after", True, "shop")] * 3 + [("decorated", True, "shop")])
print(trace.get_tracer_provider() is own)
"""
    ) == ["True", "True"]


def test_settings_are_read_again_for_the_new_resource():
    assert run(
        BEGIN
        + """
pyroscope_otel.configure(server_address="http://127.0.0.1:9", tags={"a": "b"})
set_own(**{"service.name": "till", "service.namespace": "eu"})
settings = agent.AGENT._settings
print(settings.application_name, settings.tags, agent.AGENT.needed)
pyroscope_otel.configure(tags={"a": "b"})
""",
        env={"OTEL_SERVICE_NAME": "shop"},
    ) == ["till {'service_namespace': 'eu', 'a': 'b'} True"]


def test_names_that_differ_in_the_new_resource_cause_a_warning():
    (line,) = run(
        BEGIN
        + """
pyroscope_otel.configure(**SETTINGS)
set_own(**{"service.name": "till"})
"""
    )
    assert line.startswith("WARNING Profiles have service_name 'shop', traces have service.name 't")


def test_second_provider_of_the_application_is_refused():
    *_, refused, same = run(
        BEGIN
        + """
pyroscope_otel.configure(**SETTINGS)
own = set_own()
set_own()
print(trace.get_tracer_provider() is own)
"""
    )
    assert refused == "WARNING Overriding of current TracerProvider is not allowed"
    assert same == "True"


def test_provider_without_processors_replaces_ours_and_loses_the_links():
    lines = run(
        BEGIN
        + """
class Other(trace.TracerProvider):
    def get_tracer(self, *arguments, **named):
        return trace.NoOpTracer()
pyroscope_otel.configure(**SETTINGS)
other = Other()
trace.set_tracer_provider(other)
print(trace.get_tracer_provider() is other)
"""
    )
    assert lines[0].startswith("ERROR pyroscope-otel failed to switch to")
    assert lines[-1] == "True"


def test_nothing_is_replaced_after_shutdown():
    assert run(
        BEGIN
        + """
pyroscope_otel.configure(**SETTINGS)
pyroscope_otel.shutdown()
own = set_own()
with own.get_tracer("own").start_as_current_span("after"):
    pass
print(exported(), agent.AGENT.needed)
"""
    ) == ["[('after', False, 'shop')] False"]
