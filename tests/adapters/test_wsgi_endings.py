"""The table of endings for the WSGI middleware: however a request ends, nothing is left.

Scenario 41, for each of them.
"""

import pytest

from tests.adapters.wsgi_variants import (
    MORE_OF_US,
    OURS,
    OUTSIDE,
    contrib_inside,
    each_of,
    each_variant,
    variants_but,
)
from tests.support.endings import Table
from tests.support.journal import AppError, AppExit, raises_just
from tests.support.wsgi_server import Exchange, environ

ending = Table(
    nested_applications="the variants `twice`, `nested_flasks` and others",
    lifespan="WSGI has none",
    websocket="WSGI has none",
    unknown_scope="WSGI has none",
)

BY_CONTRIB = (*OUTSIDE, contrib_inside)
"""The variants in which the user applied contrib's middleware: its faults stay in those."""
CONTRIB_INSIDE = (contrib_inside,)
"""Outside ours: the request is held around it, and we close its body."""

NOT_BEGUN = "contrib's body is a generator: if it has not begun, closing it ends and closes nothing"


def produce(journal, error=None):
    """Make three chunks, then raise the error if one is given."""
    journal.note_in_pool()
    try:
        for _ in range(3):
            yield b"x"
            journal.note_in_pool()
        if error is not None:
            raise error
    finally:
        journal.note_in_pool()


class Iterable:
    """A body with a `close`, whose chunks come from another iterator."""

    def __init__(self, journal, error=None):
        self._journal = journal
        self._chunks = produce(journal, error)

    def __iter__(self):
        self._journal.note_in_pool()
        return self._chunks

    def close(self):
        self._journal.note_in_close()
        self._chunks.close()


class Iterator(Iterable):
    """A body with a `close`, which makes its chunks itself."""

    def __iter__(self):
        self._journal.note_in_pool()
        return self

    def __next__(self):
        self._journal.note_in_pool()
        return next(self._chunks)


def as_list(journal):
    return list(produce(journal))


each_body = pytest.mark.parametrize("make_body", [Iterable, Iterator, produce])


def check(journal, make_body, assemble):
    root = journal.check()
    if make_body in (produce, as_list):
        assert journal.ids_in_close == []
    elif assemble.of is contrib_inside and journal.ids_in_close == [None]:
        pass  # Contrib leaves the span's context before it closes the body.
    else:
        assert journal.ids_in_close == [format(root.context.span_id, "016x")]


def answer_with(journal, make_body, *arguments):
    """Return user code that answers with this body."""

    def answer():
        journal.note_in_pool()
        return make_body(journal, *arguments)

    return answer


@ending("normal")
@each_variant
@pytest.mark.parametrize("make_body", [Iterable, Iterator, produce, as_list])
def test_normal(assemble, make_body, journal):
    exchange = Exchange()
    exchange.serve(assemble(answer_with(journal, make_body)))
    check(journal, make_body, assemble)
    assert exchange.chunks == [b"x"] * 3
    assert exchange.statuses == ["200 OK"]


@ending("exception in the application")
@each_variant
def test_exception_in_the_application(assemble, journal):
    error = AppError()

    def answer():
        journal.note_in_pool()
        raise error

    with raises_just(error):
        Exchange().serve(assemble(answer))
    journal.check()


@ending("cancellation")
@variants_but(BY_CONTRIB, "contrib ends no span for what is not an Exception")
def test_exit_in_the_application(assemble, journal):
    error = AppExit()

    def answer():
        journal.note_in_pool()
        raise error

    with raises_just(error):
        Exchange().serve(assemble(answer))
    journal.check()


@ending("cancellation")
@each_of(*OURS, *MORE_OF_US)
def test_thread_is_as_before_after_an_exit(assemble, journal):
    """The span of the ended request is not current, and neither is its caller's."""

    def answer():
        raise AppExit

    app = assemble(answer)
    exchange = Exchange()
    for trace_id in ("a" * 32, "b" * 32):
        traceparent = f"00-{trace_id}-{'c' * 16}-01"
        with pytest.raises(AppExit):
            exchange.serve(app, environ(HTTP_TRACEPARENT=traceparent))
    journal.check_nothing_is_left()
    assert [format(root.context.trace_id, "032x")[0] for root in journal.roots()] == ["a", "b"]


@ending("exception in a streaming body")
@ending("cancellation")
@each_variant
@each_body
@pytest.mark.parametrize("kind", [AppError, AppExit])
def test_exception_in_a_streaming_body(assemble, make_body, kind, journal):
    error = kind()
    exchange = Exchange()
    with raises_just(error):
        exchange.serve(assemble(answer_with(journal, make_body, error)))
    check(journal, make_body, assemble)
    assert exchange.chunks == [b"x"] * 3


@ending("client disconnects")
@each_variant
@pytest.mark.parametrize("make_body", [Iterable, produce])
def test_client_disconnects(assemble, make_body, journal):
    exchange = Exchange(take=1)
    exchange.serve(assemble(answer_with(journal, make_body)))
    check(journal, make_body, assemble)
    assert exchange.chunks == [b"x"]


@variants_but((contrib_inside,), "contrib closes a body that is an iterator twice")
def test_client_disconnects_from_an_iterator(assemble, journal):
    exchange = Exchange(take=1)
    exchange.serve(assemble(answer_with(journal, Iterator)))
    check(journal, Iterator, assemble)


@ending("body closed before it is iterated")
@variants_but(CONTRIB_INSIDE, NOT_BEGUN)
@each_body
def test_body_closed_before_it_is_iterated(assemble, make_body, journal):
    Exchange(iterate=False).serve(assemble(answer_with(journal, make_body)))
    check(journal, make_body, assemble)


class Once(Iterable):
    """A body that must not be iterated after it is closed, like a file."""

    def __iter__(self):
        assert not self._journal.ids_in_close
        return super().__iter__()


@each_of(*OURS, *MORE_OF_US)
def test_body_closed_before_it_is_iterated_is_not_iterated(assemble, journal):
    Exchange(iterate=False).serve(assemble(answer_with(journal, Once)))
    check(journal, Once, assemble)


@ending("body never iterated")
@variants_but(CONTRIB_INSIDE, NOT_BEGUN)
@each_body
def test_body_never_iterated(assemble, make_body, journal):
    """As for HEAD: a server may ask for the iterator and take no chunk."""
    Exchange(take=0).serve(assemble(answer_with(journal, make_body)))
    check(journal, make_body, assemble)


class Unclosable(Iterable):
    def close(self):
        super().close()
        raise self._journal.error


@variants_but(CONTRIB_INSIDE, "contrib ends no span if closing the body raises")
@pytest.mark.parametrize("take", [0, None])
def test_exception_in_close(assemble, take, journal):
    journal.error = AppError()
    with raises_just(journal.error):
        Exchange(take).serve(assemble(answer_with(journal, Unclosable)))
    check(journal, Unclosable, assemble)


@variants_but((contrib_inside,), "contrib ends no span if closing the body raises")
def test_exception_in_close_after_a_disconnect(assemble, journal):
    journal.error = AppError()
    with raises_just(journal.error):
        Exchange(take=1).serve(assemble(answer_with(journal, Unclosable)))
    check(journal, Unclosable, assemble)


@each_variant
def test_server_closes_the_body_twice(assemble, journal):
    app = assemble(answer_with(journal, Iterable))

    def close_too(environ, start_response):
        body = app(environ, start_response)
        next(iter(body))
        body.close()
        return body

    Exchange(iterate=False).serve(close_too)
    check(journal, Iterable, assemble)


def test_table_is_complete():
    ending.check()
