"""Scenario 10: a request starts in the context of the previous request of its connection."""

import asyncio
from collections import defaultdict
from functools import partial

import pytest
import uvicorn
from opentelemetry.trace import SpanKind

from pyroscope_otel.link.profile import PROFILE_ID_ATTRIBUTE
from tests.adapters.asgi_variants import (
    VARIANTS,
    added_to_fastapi_instrumented_later,
    added_to_instrumented_fastapi,
    added_to_starlette_instrumented_later,
    bare,
    contrib_inside,
    contrib_outside,
    contrib_outside_starlette,
    each_of,
    starlettes_own_inside,
    tracing_fastapi_inside,
)
from tests.support import event_loops
from tests.support.asgi_server import START, Exchange, chunk, each_loop, http, start_and_stop

TRACEPARENT = (b"traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")


def check_apart(journal, count=2):
    """Check that each request has its own root span, for the server, and its own samples."""
    journal.check_nothing_is_left()
    # By their start: one can still be ending when the next has its answer.
    roots = sorted(journal.roots(), key=lambda root: root.start_time)
    assert len(roots) == count
    assert {root.kind for root in roots} == {SpanKind.SERVER}
    assert all(root.parent is None or root.parent.is_remote for root in roots)
    return [root.attributes[PROFILE_ID_ATTRIBUTE] for root in roots]


class Endpoint:
    """Notes the profile of each request by its number, in the header `number`."""

    def __init__(self, journal):
        self._notes = defaultdict(journal.another)
        self.meanwhile = {}
        """Code to wait for after a request's response, by its number."""

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return
        number = dict(scope["headers"])[b"number"]
        while (await receive()).get("more_body"):
            await self._note(number)
        await self._note(number)
        await send({**START, "headers": [(b"content-length", b"1")]})
        await self._note(number)
        await send(chunk(more=False))
        await self._note(number)
        if number in self.meanwhile:
            await self.meanwhile[number].wait()
            await self._note(number)

    def seen(self, number):
        return set(self._notes[number].ids)

    async def _note(self, number):
        await self._notes[number].note_everywhere()


def numbered(number, *more):
    return http(headers=[(b"host", b"shop.test"), (b"number", number), *more])


CONTRIB_IS_OUTERMOST = (
    contrib_outside,
    contrib_outside_starlette,
    added_to_instrumented_fastapi,
    added_to_fastapi_instrumented_later,
    added_to_starlette_instrumented_later,
)


@pytest.fixture
def serve_after_another(provider):
    """Return a function that serves request 2 while an ended span is still current."""
    tracer = provider.get_tracer("before")

    async def serve_after_another(app):
        await start_and_stop(app)
        with tracer.start_as_current_span("before", kind=SpanKind.SERVER) as before:
            before.end()
            await app(numbered(b"2", TRACEPARENT), *Exchange().ends)

    return serve_after_another


def check_second(journal, endpoint):
    """Check that request 2 has its own local root span, and return that span."""
    journal.check_nothing_is_left()
    before, root = sorted(journal.roots(), key=lambda root: root.start_time)
    assert before.name == "before"
    assert endpoint.seen(b"2") == {root.attributes[PROFILE_ID_ATTRIBUTE]}
    return root


@each_loop
@each_of(*(variant for variant in VARIANTS if variant not in CONTRIB_IS_OUTERMOST))
def test_previous_span_has_ended(run, assemble, journal, serve_after_another):
    endpoint = Endpoint(journal)
    run(partial(serve_after_another, assemble(endpoint)))
    root = check_second(journal, endpoint)
    assert root.kind is SpanKind.SERVER
    assert format(root.context.trace_id, "032x") == "a" * 32


@each_loop
@each_of(*CONTRIB_IS_OUTERMOST)
def test_previous_span_has_ended_and_contrib_is_outermost(
    run, assemble, journal, serve_after_another
):
    """Contrib takes it as the parent. The request still has its own local root span."""
    endpoint = Endpoint(journal)
    run(partial(serve_after_another, assemble(endpoint)))
    check_second(journal, endpoint)


@each_loop
@each_of(*VARIANTS)
def test_previous_span_has_ended_and_its_request_goes_on(run, assemble, journal):
    endpoint = Endpoint(journal)
    app = assemble(endpoint)

    class Background:
        async def wait(self):
            await app(numbered(b"2"), *Exchange().ends)

    async def main():
        await start_and_stop(app)
        endpoint.meanwhile[b"1"] = Background()
        await app(numbered(b"1"), *Exchange().ends)

    run(main)
    (one,), (two,) = endpoint.seen(b"1"), endpoint.seen(b"2")
    journal.check_nothing_is_left()
    # For each maker of spans. If contrib is outermost, the previous span is the parent.
    assert {one, two} == {root.attributes[PROFILE_ID_ATTRIBUTE] for root in journal.roots()}
    assert one != two


class Server:
    """uvicorn in the running loop, without its signal handlers and its ticks."""

    def __init__(self, app):
        self._server = uvicorn.Server(
            uvicorn.Config(app, port=0, lifespan="on", log_config=None, http="h11", ws="none")
        )

    async def __aenter__(self):
        config = self._server.config
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup()
        (listening,) = self._server.servers[0].sockets
        return listening.getsockname()[1]

    async def __aexit__(self, *_error):
        await self._server.shutdown()


def request(number, size):
    head = (
        f"POST /items/7 HTTP/1.1\r\nHost: shop.test\r\nNumber: {number}\r\nContent-Length: {size}"
    )
    return head.encode() + b"\r\n\r\n" + b"x" * size


async def answer_of(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert await reader.readexactly(1) == b"x"


each_maker_of_roots = each_of(bare, contrib_inside, tracing_fastapi_inside, starlettes_own_inside)


@event_loops.each_loop
@each_maker_of_roots
def test_two_requests_on_one_connection(new_loop, assemble, journal):
    endpoint = Endpoint(journal)

    async def main():
        async with Server(assemble(endpoint)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for number in (1, 2, 3):
                # More than uvicorn buffers: it then resumes reading from inside
                # of the request, in whose context later ones may begin.
                writer.write(request(number, 300_000))
                await answer_of(reader)
            writer.close()
            await writer.wait_closed()

    event_loops.run(main, new_loop)
    ids = check_apart(journal, 3)
    assert [endpoint.seen(number) for number in (b"1", b"2", b"3")] == [{id_} for id_ in ids]


@event_loops.each_loop
@each_maker_of_roots
def test_background_task_of_the_previous_request_goes_on(new_loop, assemble, journal):
    endpoint = Endpoint(journal)

    async def main():
        endpoint.meanwhile[b"1"] = asyncio.Event()
        endpoint.meanwhile[b"2"] = asyncio.Event()
        async with Server(assemble(endpoint)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for number in (1, 2):
                writer.write(request(number, 300_000))
                await answer_of(reader)
            endpoint.meanwhile[b"1"].set()
            endpoint.meanwhile[b"2"].set()
            writer.close()
            await writer.wait_closed()

    event_loops.run(main, new_loop)
    one, two = endpoint.seen(b"1"), endpoint.seen(b"2")
    assert len(one) == len(two) == 1
    assert one | two == set(check_apart(journal))
