"""The table of endings for the ASGI middleware: however a request ends, nothing is left."""

from functools import partial

import anyio
import pytest

from tests.adapters.asgi_variants import bare, each_variant
from tests.support.asgi_server import (
    LIFESPAN,
    START,
    Exchange,
    chunk,
    each_loop,
    http,
    serve,
    start_and_stop,
    websocket,
)
from tests.support.endings import Table
from tests.support.journal import AppError, AppExit, raises_just

ending = Table(
    body_closed_before_it_is_iterated="an ASGI server gets messages, and no body",
    body_never_iterated="the same; see `test_application_returns`",
    nested_applications="the variants `twice`, `nested_starlettes` and others",
    lifespan="see test_asgi_lifespan.py",
)


class Endpoint:
    """User code as an ASGI application, which Starlette and FastAPI accept as an endpoint."""

    def __init__(self, journal, answer):
        self._journal = journal
        self._answer = answer

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return
        await self._journal.note_everywhere()
        await self._answer(self._journal, receive, send)
        await self._journal.note_everywhere()


async def stream(journal, send):
    await send(START)
    for _ in range(3):
        await journal.note_everywhere()
        await send(chunk())
        await journal.note_everywhere()


# Each takes (journal, receive, send).


async def normal(journal, receive, send):
    assert (await receive())["type"] == "http.request"
    await stream(journal, send)
    await send(chunk(more=False))


async def client_disconnects(journal, receive, send):
    await receive()
    await stream(journal, send)
    assert (await receive())["type"] == "http.disconnect"
    await journal.note_everywhere()


async def response_is_never_finished(journal, receive, send):
    await receive()
    await stream(journal, send)


async def response_has_no_body(journal, receive, send):  # noqa: ARG001
    await receive()
    await send(START)


async def response_is_never_started(journal, receive, send):  # noqa: ARG001
    await receive()


@ending("normal")
@each_loop
@each_variant
@pytest.mark.parametrize(
    "answer",
    [normal, response_is_never_finished, response_has_no_body, response_is_never_started],
    ids=lambda answer: answer.__name__,
)
def test_application_returns(run, assemble, answer, journal):
    exchange = Exchange()
    app = assemble(Endpoint(journal, answer))
    run(partial(serve, app, exchange, http()))
    journal.check()
    assert exchange.statuses == ([] if answer is response_is_never_started else [200])


@ending("client disconnects")
@each_loop
@each_variant
def test_client_disconnects(run, assemble, journal):
    app = assemble(Endpoint(journal, client_disconnects))
    exchange = Exchange({"type": "http.request"}, {"type": "http.disconnect"})
    run(partial(serve, app, exchange, http()))
    journal.check()
    assert exchange.body == b"xxx"


@ending("client disconnects")
@each_loop
@each_variant
def test_send_raises_because_the_client_is_gone(run, assemble, journal):
    gone = OSError("gone")

    class Gone(Exchange):
        async def send(self, message):
            await super().send(message)
            if len(self.sent) == 2:
                raise gone

    async def answer(journal, receive, send):  # noqa: ARG001
        try:
            await stream(journal, send)
        finally:
            await journal.note_everywhere()

    app = assemble(Endpoint(journal, answer))
    with raises_just(gone):
        run(partial(serve, app, Gone(), http()))
    journal.check()


@ending("exception in the application")
@each_loop
@each_variant
@pytest.mark.parametrize("kind", [AppError, AppExit])
def test_exception_in_the_application(run, assemble, kind, journal):
    error = kind()

    async def answer(_journal, _receive, _send):
        raise error

    exchange = Exchange()
    app = assemble(Endpoint(journal, answer))
    with raises_just(error):
        run(partial(serve, app, exchange, http()))
    journal.check()


@ending("exception in a streaming body")
@each_loop
@each_variant
@pytest.mark.parametrize("kind", [AppError, AppExit])
def test_exception_in_a_streaming_body(run, assemble, kind, journal):
    error = kind()

    async def answer(journal, _receive, send):
        await stream(journal, send)
        raise error

    exchange = Exchange()
    app = assemble(Endpoint(journal, answer))
    with raises_just(error):
        run(partial(serve, app, exchange, http()))
    journal.check()
    assert exchange.body == b"xxx"


@each_loop
@each_variant
def test_exception_after_the_response(run, assemble, journal):
    error = AppError()

    async def answer(journal, receive, send):
        await normal(journal, receive, send)
        await journal.note_everywhere()
        raise error

    exchange = Exchange()
    app = assemble(Endpoint(journal, answer))
    with raises_just(error):
        run(partial(serve, app, exchange, http()))
    journal.check()
    assert exchange.body == b"xxxx"


@ending("cancellation")
@each_loop
@each_variant
@pytest.mark.parametrize("finished", [False, True])
def test_cancellation(run, assemble, finished, journal):
    seen = []

    async def answer(journal, receive, send):
        await receive()
        await stream(journal, send)
        if finished:
            await send(chunk(more=False))
        streamed.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class() as error:
            journal.note_in_pool()
            seen.append(error)
            raise

    async def served():
        try:
            await app(http(), *exchange.ends)
        except anyio.get_cancelled_exc_class() as error:
            seen.append(error)
            raise

    async def main():
        await start_and_stop(app)
        nonlocal streamed
        streamed = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(served)
            await streamed.wait()
            group.cancel_scope.cancel()

    streamed = None
    exchange = Exchange()
    app = assemble(Endpoint(journal, answer))
    run(main)
    journal.check()
    assert len(seen) == 2
    assert seen[0] is seen[1]


# Websockets


CONNECT = {"type": "websocket.connect"}
MESSAGES = [{"type": "websocket.receive", "text": str(number)} for number in range(3)]
DISCONNECT = {"type": "websocket.disconnect", "code": 1001}


async def echo(journal, receive, send):
    assert await receive() == CONNECT
    await send({"type": "websocket.accept"})
    while (message := await receive()) != DISCONNECT:
        await journal.note_everywhere()
        await send({"type": "websocket.send", "text": message["text"]})
        await journal.note_everywhere()


@ending("websocket")
@each_loop
@each_variant
def test_websocket(run, assemble, journal):
    app = assemble(Endpoint(journal, echo))
    exchange = Exchange(CONNECT, *MESSAGES, DISCONNECT)
    run(partial(serve, app, exchange, websocket()))
    journal.check()
    assert [message.get("text") for message in exchange.sent] == [None, "0", "1", "2"]


@each_loop
@each_variant
def test_websocket_closed_by_the_application(run, assemble, journal):
    async def answer(journal, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await journal.note_everywhere()
        await send({"type": "websocket.close", "code": 1000})

    app = assemble(Endpoint(journal, answer))
    run(partial(serve, app, Exchange(CONNECT), websocket()))
    journal.check()


@each_loop
@each_variant
def test_websocket_exception(run, assemble, journal):
    error = AppError()

    async def answer(journal, receive, send):
        await echo(journal, receive, send)
        raise error

    app = assemble(Endpoint(journal, answer))
    with raises_just(error):
        run(partial(serve, app, Exchange(CONNECT, *MESSAGES, DISCONNECT), websocket()))
    journal.check()


# Neither HTTP nor websocket


@ending("unknown scope")
@each_loop
@pytest.mark.parametrize("kind", ["lifespan", "mqtt"])
def test_other_scopes_are_passed_through(run, kind, settings, journal):
    """Without a root span. Lifespans have their own tests."""
    scope = dict(LIFESPAN, type=kind)
    calls = []

    async def endpoint(*arguments):
        journal.note()
        calls.append(arguments)

    exchange = Exchange()
    run(partial(bare(endpoint, settings), scope, *exchange.ends))
    ((received_scope, receive, send),) = calls
    assert received_scope is scope
    if kind != "lifespan":
        assert receive == exchange.receive
        assert send == exchange.send
    assert journal.ids == [None]
    assert journal.roots() == []


def test_table_is_complete():
    ending.check()
