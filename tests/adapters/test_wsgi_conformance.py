"""PEP 3333 outside and inside our middleware, bodies that are not wrapped, names, overlap."""

import contextvars
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.trace import SpanKind

from pyroscope_otel.link.profile import PROFILE_ID_ATTRIBUTE
from pyroscope_otel.wsgi import PyroscopeMiddleware
from tests.adapters.wsgi_variants import (
    application,
    bare,
    contrib_outside,
    each_of,
    each_variant,
    flask_inside,
    instrumented_flask_inside,
    twice,
)
from tests.support.journal import PATH, AppError
from tests.support.wsgi_server import Exchange, environ


@each_variant
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_middleware_conforms_to_the_server(assemble, method, journal):
    def answer():
        journal.note_in_pool()
        yield b"x"
        journal.note_in_pool()
        yield b"y"

    exchange = Exchange()
    exchange.serve(validator(assemble(answer)), environ(method=method))
    assert b"".join(exchange.chunks) in (b"xy", b"")
    if exchange.chunks:
        journal.check()


@pytest.mark.parametrize("outside", [True, False])
def test_middleware_conforms_to_the_application(outside, settings, journal):
    def answer():
        journal.note_in_pool()
        return [b"x", b"y"]

    app = PyroscopeMiddleware(validator(application(answer)), **settings)
    if outside:
        app = OpenTelemetryMiddleware(app, tracer_provider=settings["tracer_provider"])
    exchange = Exchange()
    exchange.serve(validator(app))
    assert exchange.chunks == [b"x", b"y"]
    journal.check()


def test_write_and_exc_info(settings, journal):
    def app(_environ, start_response):
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        journal.note_in_pool()
        write(b"x")
        error = AppError()
        exc_info = (type(error), error, None)
        start_response("500 Oops", [("Content-Type", "text/plain")], exc_info)
        return [b"y"]

    exchange = Exchange()
    exchange.serve(PyroscopeMiddleware(app, **settings))
    assert exchange.chunks == [b"x", b"y"]
    assert exchange.statuses == ["200 OK", "500 Oops"]
    journal.check()


# The body arrives unchanged if no instrumentation wraps it.


@pytest.fixture
def body_outside_of(settings, journal):
    """Return a function that returns the server's body, under a span from further out."""
    tracer = settings["tracer_provider"].get_tracer("outside")

    def body_outside_of(body, **more):
        with tracer.start_as_current_span("outside"):
            app = bare(lambda: body, settings)
            received = app(environ(**more), Exchange().start_response)
        journal.check_nothing_is_left()
        return received

    return body_outside_of


@pytest.mark.parametrize("body", [[b"x"], (b"x",), []])
def test_lists_are_not_wrapped(body, body_outside_of):
    assert body_outside_of(body) is body


def test_file_wrapper_of_the_server_is_not_wrapped(body_outside_of):
    body = FileWrapper(io.BytesIO(b"x"))
    assert body_outside_of(body, **{"wsgi.file_wrapper": FileWrapper}) is body


def make_file_wrapper(file, _size=8192):
    return file


@pytest.mark.parametrize("wrapper", [make_file_wrapper, None])
@each_of(bare, contrib_outside, twice, flask_inside, instrumented_flask_inside)
def test_file_wrapper_may_be_a_function(assemble, wrapper, journal):
    """In uWSGI it is a function."""

    def answer():
        journal.note_in_pool()
        return make_file_wrapper(io.BytesIO(b"x"))

    exchange = Exchange()
    exchange.serve(assemble(answer), environ(**{"wsgi.file_wrapper": wrapper}))
    assert exchange.chunks == [b"x"]
    journal.check()


# Names


@pytest.mark.parametrize(
    ("request_of", "name"),
    [
        ({"method": "GET", "path": PATH}, "GET"),
        ({"method": "POST", "path": "/"}, "POST"),
        ({"method": "PROPFIND", "path": PATH}, "HTTP"),
        ({"method": "GET /a", "path": PATH}, "HTTP"),
        ({"method": "GET", "path": "/caf\xc3\xa9"}, "GET"),
        ({"method": "GET", "path": ""}, "GET"),
    ],
)
def test_name_is_the_method_alone(request_of, name, settings, journal, now):
    names = []

    def answer():
        names.append(now())
        yield b"x"
        names.append(now())

    Exchange().serve(bare(answer, settings), environ(**request_of))
    assert names == [name, name]
    (root,) = journal.roots()
    assert root.name == name
    assert root.kind is SpanKind.SERVER


@each_of(contrib_outside, instrumented_flask_inside)
@pytest.mark.parametrize("path", [PATH, "/nothing/7"])
@pytest.mark.usefixtures("labels_only")
def test_labels_if_contrib_names_the_span(assemble, path, recorder, journal):
    Exchange().serve(assemble(lambda: [b"x"]), environ(path))
    labels = {value for what, key, value in recorder.log if (what, key) == ("add", "span_name")}
    assert labels
    assert labels | journal.names() <= {"GET", "GET /items/<item>"}


# Requests one after the other, and many at once


def test_previous_span_has_ended(settings, journal):
    """It is still current on the thread. This request has its own root span and caller."""
    tracer = settings["tracer_provider"].get_tracer("before")

    def answer():
        journal.note_in_pool()
        yield b"x"
        journal.note_in_pool()

    app = bare(answer, settings)

    def serve():
        with tracer.start_as_current_span("before") as before:
            before.end()
            traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
            body = app(environ(HTTP_TRACEPARENT=traceparent), Exchange().start_response)
            assert list(body) == [b"x"]
            body.close()

    contextvars.copy_context().run(serve)
    journal.check_nothing_is_left()
    before, root = sorted(journal.roots(), key=lambda span: span.start_time)
    assert before.name == "before"
    assert root.kind is SpanKind.SERVER
    assert format(root.context.trace_id, "032x") == "a" * 32
    assert set(journal.ids) == {root.attributes[PROFILE_ID_ATTRIBUTE]}


@each_variant
def test_overlapping_requests(assemble, journal):
    count = 8
    barrier = threading.Barrier(count, timeout=30)
    notes = {}

    def answer():
        mine = journal.another()
        notes[threading.get_ident()] = mine
        mine.note_in_pool()
        barrier.wait()
        for _ in range(3):
            yield b"x"
            barrier.wait()
            mine.note_in_pool()

    app = assemble(answer)

    def serve(_number):
        exchange = Exchange()
        exchange.serve(app)
        return exchange.chunks

    with ThreadPoolExecutor(count) as pool:
        assert list(pool.map(serve, range(count))) == [[b"x"] * 3] * count
    journal.check_nothing_is_left()
    ids = [set(mine.ids) for mine in notes.values()]
    assert all(len(one) == 1 for one in ids)
    assert set().union(*ids) == {root.attributes[PROFILE_ID_ATTRIBUTE] for root in journal.roots()}
    assert len(journal.roots()) == count
