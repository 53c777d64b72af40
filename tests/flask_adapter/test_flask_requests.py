"""What belongs to a request in Flask, and the name of its root span."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import flask
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.trace import SpanKind

from pyroscope_otel_flask import Pyroscope
from tests.flask_adapter.flask_variants import (
    at_once,
    each_variant,
    instrumented_later,
    serving,
    wsgi_instrumented,
)


@pytest.fixture
def extend(settings):
    """Return a function that adds the extension to an application and returns a client."""

    def extend(app):
        Pyroscope(app, **settings)
        return app.test_client()

    return extend


@pytest.fixture
def app():
    return flask.Flask("shop")


# Functions before and after a view


def add_functions(app, journal):
    """Add a function of each kind; return the list where each notes its name and span."""
    order = []

    def note(name):
        journal.note()
        order.append((name, trace.get_current_span().is_recording()))

    @app.before_request
    def _before():
        note("before")

    @app.after_request
    def _after(response):
        note("after")
        return response

    @app.teardown_request
    def _teardown(_error):
        note("teardown")

    @app.teardown_appcontext
    def _teardown_appcontext(_error):
        journal.note()

    @app.get("/")
    def _view():
        note("view")
        return "x"

    return order


@pytest.mark.parametrize("first", ["functions", "extension"])
def test_span_covers_functions_before_and_after_the_view(first, app, extend, journal):
    """Whether the functions or the extension are added first."""
    if first == "functions":
        order = add_functions(app, journal)
        client = extend(app)
    else:
        client = extend(app)
        order = add_functions(app, journal)
    client.get("/", buffered=True)
    journal.check()
    assert order == [(name, True) for name in ("before", "view", "after", "teardown")]


def test_before_request_that_responds_is_in_the_profile(app, extend, journal):
    @app.before_request
    def _login():
        journal.note()
        return "Who are you?", 401

    @app.get("/")
    def _view():
        raise AssertionError

    assert extend(app).get("/", buffered=True).status_code == 401
    assert journal.check().name == "GET /"


def test_span_of_a_teardown_function_is_in_the_trace_of_the_request(app, extend, journal, provider):
    @app.teardown_request
    def _close(_error):
        with provider.get_tracer("test").start_as_current_span("close"):
            journal.note()

    @app.get("/")
    def _view():
        return "x"

    extend(app).get("/", buffered=True)
    journal.check()
    assert [span.name for span in journal.starts.spans] == ["GET /", "close"]


def test_client_that_keeps_the_context_of_its_last_request(app, extend, journal):
    """`with client` keeps the context, and with it the span, until the next request or the end."""

    @app.get("/<number>")
    def _view(number):  # noqa: ARG001
        journal.note()
        return "x"

    with extend(app) as client:
        client.get("/1", buffered=True)
        assert flask.request.path == "/1"
        client.get("/2", buffered=True)
        assert flask.request.path == "/2"
    journal.check_nothing_is_left()
    ids = [root.attributes["pyroscope.profile.id"] for root in journal.roots()]
    assert journal.ids == ids
    assert len(set(ids)) == 2


# Blueprints, errors, views of all kinds


def test_blueprints(app, extend, journal):
    outer = flask.Blueprint("outer", "outer", url_prefix="/outer")
    inner = flask.Blueprint("inner", "inner", url_prefix="/<part>")

    @inner.get("/items/<int:item>")
    def _view(part, item):
        journal.note()
        return f"{part}{item}"

    for blueprint in (outer, inner):
        blueprint.before_request(journal.note)
        blueprint.teardown_request(lambda _error: journal.note())
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    assert extend(app).get("/outer/a/items/7", buffered=True).text == "a7"
    assert journal.check().name == "GET /outer/<part>/items/<int:item>"


def test_error_handlers(app, extend, journal):
    @app.errorhandler(ZeroDivisionError)
    def _handler(_error):
        journal.note()
        return "sorry", 409

    @app.get("/")
    def _view():
        journal.note()
        return 1 // 0

    assert extend(app).get("/", buffered=True).status_code == 409
    journal.check()


def test_async_views(app, extend, journal):
    """Flask runs each on an event loop in its own thread."""

    async def child():
        journal.note()
        await asyncio.sleep(0)
        journal.note()

    @app.before_request
    async def _before():
        await journal.note_everywhere()

    @app.get("/")
    async def _view():
        await journal.note_everywhere()
        await asyncio.gather(child(), child(), asyncio.to_thread(journal.note))
        return "x"

    @app.teardown_request
    async def _teardown(_error):
        await journal.note_everywhere()

    extend(app).get("/", buffered=True)
    journal.check()


def test_concurrent_requests(app, extend, journal, recorder):
    """Two threads that take turns."""
    turn = threading.Barrier(2, timeout=20)

    @app.get("/<name>")
    def _view(name):  # noqa: ARG001
        notes = []
        for _ in range(3):
            turn.wait()
            notes.append(recorder.now()["span_id"])
        (own,) = set(notes)
        assert trace.get_current_span().attributes["pyroscope.profile.id"] == own
        return own

    client = extend(app)
    with ThreadPoolExecutor(2) as threads:
        answers = set(threads.map(lambda path: client.get(path, buffered=True).text, ("/a", "/b")))
    journal.check_nothing_is_left()
    assert len(answers) == 2


# Names


@pytest.mark.parametrize(
    ("request_line", "name", "label"),
    [
        pytest.param("GET /items/7", "GET /items/<item>", "GET /items/<item>", id="a route"),
        pytest.param("GET /nowhere/7", "GET /nowhere/7", "GET", id="404"),
        pytest.param("GET /n%C3%B6where", "GET /n\xc3\xb6where", "GET", id="404, not ASCII"),
        pytest.param("POST /items/7", "POST /items/7", "POST", id="405"),
        pytest.param("BREW /items/7", "HTTP", "HTTP", id="an unknown method"),
    ],
)
def test_raw_path_never_becomes_a_label(request_line, name, label, app, extend, journal, now):  # noqa: PLR0913, PLR0917  the case and the fixtures
    """Contrib uses the path as the span name of a request without a route."""
    labels = []

    @app.before_request
    def _before():
        labels.append(now())

    @app.get("/items/<item>")
    def _view(item):  # noqa: ARG001
        return "x"

    method, path = request_line.split()
    extend(app).open(path, method=method, buffered=True)
    assert labels == [label]
    assert [root.name for root in journal.roots()] == [name]


def test_excluded_path_has_no_span_and_no_profile(app, extend, settings, journal):
    @app.get("/health")
    def _view():
        journal.note()
        return "x"

    FlaskInstrumentor.instrument_app(
        app, tracer_provider=settings["tracer_provider"], excluded_urls="health"
    )
    extend(app).get("/health", buffered=True)
    journal.check_nothing_is_left()
    assert (journal.ids, journal.starts.spans) == ([None], [])


# The origin of the root span


@each_variant
def test_one_server_span(assemble, journal, caplog):
    def answer():
        journal.note()
        return "x"

    app = assemble(serving(answer))
    app.test_client().get("/items/7", buffered=True)
    root = journal.check()
    assert [span.kind for span in journal.starts.spans] == [SpanKind.SERVER]
    assert root.instrumentation_scope.name == "opentelemetry.instrumentation.flask"
    # The extension must not instrument again if it finds contrib.
    refused = "Attempting to instrument Flask app while already instrumented"
    assert [refused in caplog.text] == [assemble.of is instrumented_later]


def test_application_made_before_its_class_was_instrumented(app, extend, settings, journal):
    """It is not instrumented: contrib replaces Flask's class."""

    @app.get("/")
    def _view():
        journal.note()
        return "x"

    FlaskInstrumentor().instrument(tracer_provider=settings["tracer_provider"])
    try:
        client = extend(app)
    finally:
        FlaskInstrumentor().uninstrument()
    client.get("/", buffered=True)
    journal.check()


def test_wsgi_instrumentation_inside_makes_the_root_span(settings, journal):
    def answer():
        journal.note()
        return "x"

    app = wsgi_instrumented(serving(answer), settings)
    app.test_client().get("/items/7", buffered=True)
    root = journal.check()
    assert [span.kind for span in journal.starts.spans] == [SpanKind.SERVER]
    assert root.instrumentation_scope.name == "opentelemetry.instrumentation.wsgi"


def test_trace_of_the_caller_is_continued(settings, journal):
    app = at_once(serving(lambda: (journal.note(), "x")[1]), settings)
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    app.test_client().get("/items/7", headers={"traceparent": traceparent}, buffered=True)
    root = journal.check()
    assert format(root.context.trace_id, "032x") == "a" * 32
    assert root.parent.is_remote


def test_unsampled_request_has_no_profile(settings, journal):
    app = at_once(serving(lambda: (journal.note(), "x")[1]), settings)
    traceparent = f"00-{'a' * 32}-{'b' * 16}-00"
    app.test_client().get("/items/7", headers={"traceparent": traceparent}, buffered=True)
    journal.check_nothing_is_left()
    assert (journal.ids, journal.starts.spans) == ([None], [])
