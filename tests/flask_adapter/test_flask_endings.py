"""The table of endings for the Flask extension: nothing is left, however a request ends."""

import flask
import pytest
from opentelemetry import trace
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from pyroscope_otel_flask import Pyroscope
from tests.flask_adapter.flask_variants import RULE, each_variant, serving
from tests.support.endings import Table
from tests.support.journal import AppError, AppExit, raises_just
from tests.support.wsgi_server import Exchange, environ

ending = Table(
    lifespan="WSGI has none",
    websocket="WSGI has none",
    unknown_scope="WSGI has none",
)


def produce(journal, error=None):
    """Yield three chunks, then raise the error if there is one."""
    journal.note_in_pool()
    try:
        for _ in range(3):
            yield b"x"
            journal.note_in_pool()
        if error is not None:
            raise error
    finally:
        journal.note_in_pool()


def with_context(journal, error=None):
    """Yield the same, with Flask's request context."""

    def in_request():
        for chunk in produce(journal, error):
            assert flask.request.view_args == {"item": "7"}
            yield chunk

    return flask.stream_with_context(in_request())


class Closed:
    """A body with a `close` method."""

    def __init__(self, journal, error=None):
        self._journal = journal
        self._chunks = produce(journal, error)

    def __iter__(self):
        return self._chunks

    def close(self):
        self._journal.note_in_close()
        self._chunks.close()


each_stream = pytest.mark.parametrize("make_body", [produce, with_context, Closed])


def answer_with(journal, make_body, *arguments):
    """Return a view that responds with this body."""

    def answer():
        journal.note_in_pool()
        response = flask.Response(make_body(journal, *arguments))
        response.call_on_close(journal.note)
        return response

    return answer


def check(journal, make_body=None):
    root = journal.check()
    assert root.name == f"GET {RULE}"
    closed = [format(root.context.span_id, "016x")] if make_body is Closed else []
    assert journal.ids_in_close == closed


@ending("normal")
@each_variant
@each_stream
def test_streamed_body(assemble, make_body, journal):
    exchange = Exchange()
    exchange.serve(assemble(serving(answer_with(journal, make_body))))
    check(journal, make_body)
    assert exchange.chunks == [b"x"] * 3
    assert exchange.statuses == ["200 OK"]


@ending("normal")
@each_variant
def test_complete_body(assemble, journal):
    def answer():
        journal.note_in_pool()
        return "x"

    exchange = Exchange()
    exchange.serve(assemble(serving(answer)))
    check(journal)
    assert exchange.chunks == [b"x"]


@ending("normal")
@each_variant
def test_file_sent_by_the_server(assemble, journal, tmp_path):
    """The body must reach the server unchanged, for sendfile(2)."""
    file = tmp_path / "file"
    file.write_bytes(b"x")

    def answer():
        journal.note_in_pool()
        return flask.send_file(file)

    class Wrapper:
        def __init__(self, opened, _size=None):
            self.opened = opened

    app = assemble(serving(answer))
    body = app(environ(**{"wsgi.file_wrapper": Wrapper}), Exchange().start_response)
    assert isinstance(body, Wrapper)
    assert body.opened.read() == b"x"
    body.opened.close()
    check(journal)


@ending("exception in the application")
@each_variant
def test_exception_in_the_view(assemble, journal):
    error = AppError()

    def answer():
        journal.note_in_pool()
        raise error

    with raises_just(error):
        Exchange().serve(assemble(serving(answer)))
    check(journal)


@ending("exception in the application")
@each_variant
def test_exception_in_the_view_becomes_a_500(assemble, journal):
    def answer():
        journal.note_in_pool()
        raise AppError

    app = assemble(serving(answer))
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.logger.disabled = True
    exchange = Exchange()
    exchange.serve(app)
    check(journal)
    assert exchange.statuses == ["500 INTERNAL SERVER ERROR"]


@ending("exception in a streaming body")
@ending("cancellation")
@each_variant
@each_stream
@pytest.mark.parametrize("kind", [AppError, AppExit])
def test_exception_in_a_streaming_body(assemble, make_body, kind, journal):
    error = kind()
    exchange = Exchange()
    with raises_just(error):
        exchange.serve(assemble(serving(answer_with(journal, make_body, error))))
    check(journal, make_body)
    assert exchange.chunks == [b"x"] * 3


@ending("client disconnects")
@each_variant
@each_stream
def test_client_disconnects(assemble, make_body, journal):
    exchange = Exchange(take=1)
    exchange.serve(assemble(serving(answer_with(journal, make_body))))
    check(journal, make_body)
    assert exchange.chunks == [b"x"]


@ending("body closed before it is iterated")
@each_variant
@each_stream
def test_body_closed_before_it_is_iterated(assemble, make_body, journal):
    Exchange(iterate=False).serve(assemble(serving(answer_with(journal, make_body))))
    check(journal, make_body)


@ending("body never iterated")
@each_variant
@each_stream
def test_body_never_iterated(assemble, make_body, journal):
    Exchange(take=0).serve(assemble(serving(answer_with(journal, make_body))))
    check(journal, make_body)


@ending("cancellation")
@each_variant
def test_exit_in_the_view(assemble, journal):
    """Such as a worker's timeout or a killed greenlet. The next request is unaffected."""
    exits = [AppExit(), None]

    def answer():
        journal.note_in_pool()
        error = exits.pop(0)
        if error is not None:
            raise error
        return "x"

    app = assemble(serving(answer))
    exchange = Exchange()
    with raises_just(exits[0]):
        exchange.serve(app)
    check(journal)
    exchange.serve(app)
    journal.check_nothing_is_left()
    assert [root.attributes["pyroscope.profile.id"] for root in journal.roots()] == [
        journal.ids[0],
        journal.ids[-1],
    ]


@ending("nested applications")
@each_variant
def test_application_mounted_below_another(assemble, journal, settings):
    outer = flask.Flask("outer")
    inner = assemble(serving(answer_with(journal, with_context)))
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/below": inner})
    Pyroscope(outer, **settings)
    Exchange().serve(outer, environ(path="/below/items/7"))
    check(journal)


@ending("nested applications")
@each_variant
def test_request_inside_a_request(assemble, journal):
    """The inner request is part of the outer one's profile."""

    def answer():
        journal.note_in_pool()
        if flask.request.method == "GET":
            outside = trace.get_current_span()
            assert flask.current_app.test_client().post("/items/7", buffered=True).data == b"xxx"
            assert trace.get_current_span() is outside
            journal.note_in_pool()
        return flask.Response(produce(journal))

    Exchange().serve(assemble(serving(answer)))
    check(journal)


def test_table_is_complete():
    ending.check()
