"""Responses that the client or the server does not read to the end, through the Django app."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import time

import pytest
from django import VERSION
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.test import override_settings

from tests.django_adapter.django_bodies import check, each_body, streaming
from tests.django_adapter.django_project import (
    contrib_above,
    each_of,
    each_variant,
    our_other_middleware_around,
    ours_first,
)
from tests.django_adapter.django_servers import each_server
from tests.support import event_loops
from tests.support.asgi_server import Exchange as AsgiExchange
from tests.support.asgi_server import http
from tests.support.span_profiles import profile_of_span

# Django warns that it converts one kind of iterator into the other.
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")


def replacing_the_response(get_response):
    """A middleware that replaces the response, as for a conditional request."""

    def middleware(request):
        get_response(request)
        return HttpResponse(status=304)

    return middleware


@each_of(ours_first, contrib_above)
@each_server
@each_body
def test_response_that_is_never_closed(project, serve, make_body, journal):
    application = project(streaming(journal, make_body))
    above = [f"{__name__}.replacing_the_response", *settings.MIDDLEWARE]
    with override_settings(MIDDLEWARE=above):
        assert serve(application) == (304, b"")
    # Under ASGI, a reference cycle of asgiref may hold it, or a worker thread for a moment.
    give_up_at = time.monotonic() + 20
    while profile_of_span(journal.starts.spans[0]).is_open() and time.monotonic() < give_up_at:
        gc.collect()
        time.sleep(0.01)
    journal.check()


class Leaving(AsgiExchange):
    """A client that leaves when the test sets `has_left`, or after that many chunks."""

    def __init__(self, after_chunks=None):
        super().__init__({"type": "http.request"})
        self.has_left = asyncio.Event()
        self._after_chunks = after_chunks

    async def receive(self):
        if self._incoming:
            return await super().receive()
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        await super().send(message)
        if self._after_chunks is not None and self.body == b"x" * self._after_chunks:
            self.has_left.set()
            # Django has to cancel the stream while this send waits.
            await asyncio.sleep(3600)


listens_for_disconnects = pytest.mark.skipif(
    VERSION < (5, 0), reason="Django 4.2 does not notice that a client has left"
)


@listens_for_disconnects
@each_of(ours_first, contrib_above, our_other_middleware_around)
@event_loops.each_loop
@each_body
def test_client_disconnects_from_a_stream_under_asgi(project, new_loop, make_body, journal):
    application = project(streaming(journal, make_body)).asgi()

    async def main():
        await application(http(), *Leaving(after_chunks=1).ends)

    contextvars.copy_context().run(event_loops.run, main, new_loop)
    check(journal, make_body, project)


@listens_for_disconnects
@each_of(ours_first, contrib_above, our_other_middleware_around)
@event_loops.each_loop
def test_client_disconnects_while_the_stream_waits(project, new_loop, journal):
    seen = []

    async def chunks():
        yield b"x"
        exchange.has_left.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError as error:
            journal.note_in_pool()
            seen.append(error)
            raise

    async def view(request, item):  # noqa: ARG001
        return StreamingHttpResponse(chunks())

    application = project(view).asgi()

    async def main():
        nonlocal exchange
        exchange = Leaving()
        await application(http(), *exchange.ends)

    exchange = None
    contextvars.copy_context().run(event_loops.run, main, new_loop)
    assert len(seen) == 1
    journal.check()


@listens_for_disconnects
@each_variant
@event_loops.each_loop
def test_client_disconnects_while_the_view_waits(project, new_loop, journal):
    seen = []

    async def view(request, item):  # noqa: ARG001
        journal.note_in_pool()
        exchange.has_left.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError as error:
            journal.note_in_pool()
            seen.append(error)
            raise

    application = project(view).asgi()

    async def main():
        nonlocal exchange
        exchange = Leaving()
        await application(http(), *exchange.ends)

    exchange = None
    contextvars.copy_context().run(event_loops.run, main, new_loop)
    assert len(seen) == 1
    journal.check()
