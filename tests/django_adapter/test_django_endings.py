"""The table of endings, through the Django app: however a request ends, nothing is left."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import io
from contextlib import contextmanager

import event_loops
import pytest
from asgi_server import Exchange as AsgiExchange
from asgi_server import LIFESPAN, chunk, http, websocket
from asgiref.sync import sync_to_async
from django import VERSION
from django.core.signals import got_request_exception
from django.http import FileResponse, Http404, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django_project import (
    OF_OURS,
    contrib_above,
    contrib_around,
    each_of,
    each_variant,
    ours_first,
)
from django_servers import asgi, each_asgi_server, each_server, wsgi
from endings import Table
from journal import AppError, AppExit, raises_just
from wsgi_server import Exchange as WsgiExchange
from wsgi_server import environ

ending = Table(
    nested_applications="the variants `ours_twice`, `our_other_middleware_around` and others",
)

# Django says that it has to convert one kind of iterator into the other.
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")


# Bodies.


def generator(journal, error=None):
    journal.note_in_pool()
    try:
        for _ in range(3):
            yield b"x"
            journal.note_in_pool()
        if error is not None:
            raise error
    finally:
        journal.note_in_pool()


class Closed:
    """An iterable that is closed, and whose chunks somebody else makes."""

    def __init__(self, journal, error=None):
        self._journal = journal
        self._chunks = generator(journal, error)

    def __iter__(self):
        return self._chunks

    def close(self):
        self._journal.note_in_close()
        self._chunks.close()


async def async_generator(journal, error=None):
    journal.note_in_pool()
    for _ in range(3):
        yield b"x"
        await asyncio.sleep(0)
        journal.note_in_pool()
        await sync_to_async(journal.note_in_pool)()
        journal.note()
    if error is not None:
        raise error


class AsyncIterator:
    """An async iterator that is no generator."""

    def __init__(self, journal, error=None):
        self._chunks = async_generator(journal, error)

    def __aiter__(self):
        return self

    async def __anext__(self):
        return await anext(self._chunks)


SYNC_BODIES = (generator, Closed)
BODIES = (*SYNC_BODIES, async_generator, AsyncIterator)
each_body = pytest.mark.parametrize("make_body", BODIES, ids=lambda body: body.__name__)


def streaming(journal, make_body, *arguments):
    """Return a view that answers with this body."""

    def view(request, item):  # noqa: ARG001
        journal.note_in_pool()
        return StreamingHttpResponse(make_body(journal, *arguments))

    return view


def streaming_async(journal, make_body, *arguments):
    view = streaming(journal, make_body, *arguments)

    async def async_view(request, item):
        return view(request, item)

    return async_view


each_view = pytest.mark.parametrize("make_view", [streaming, streaming_async])


def check(journal, make_body, project):
    root = journal.check()
    if make_body is not Closed:
        assert journal.ids_in_close == []
    elif project.of is contrib_around and journal.ids_in_close == [None]:
        pass  # Contrib's WSGI middleware attaches an empty context to close the body in.
    else:
        assert journal.ids_in_close == [format(root.context.span_id, "016x")]


@ending("normal")
@each_variant
@each_server
@each_view
@each_body
def test_a_streaming_body_is_in_its_requests_profile(project, serve, make_view, make_body, journal):
    assert serve(project(make_view(journal, make_body))) == (200, b"xxx")
    check(journal, make_body, project)


@ending("exception in a streaming body")
@each_of(*OF_OURS, contrib_above)
@each_server
@each_body
def test_exception_in_a_streaming_body(project, serve, make_body, journal):
    error = AppError()
    with pytest.raises(AppError) as caught:
        serve(project(streaming(journal, make_body, error)))
    assert caught.value is error
    gc.collect()
    journal.check()


# Exceptions in views and middleware: Django makes responses of them.


@contextmanager
def seen_exceptions():
    """What Django found raised."""
    seen = []

    def receive(**_):
        import sys

        seen.append(sys.exc_info()[1])

    got_request_exception.connect(receive)
    try:
        yield seen
    finally:
        got_request_exception.disconnect(receive)


@ending("exception in the application")
@each_variant
@each_server
@pytest.mark.parametrize("is_async", [False, True], ids=["sync view", "async view"])
def test_exception_in_the_view(project, serve, is_async, journal):
    error = AppError()

    def view(request, item):  # noqa: ARG001
        journal.note_in_pool()
        raise error

    async def async_view(request, item):
        view(request, item)

    with seen_exceptions() as seen:
        status, _ = serve(project(async_view if is_async else view))
    assert status == 500
    assert seen == [error]
    journal.check()


@each_variant
@each_server
def test_exception_with_a_status_of_its_own(project, serve, journal):
    def view(request, item):  # noqa: ARG001
        journal.note_in_pool()
        raise Http404

    assert serve(project(view))[0] == 404
    journal.check()


class FailingMiddleware:
    """Synchronous, and below us: it fails before the view, or after it."""

    error = None

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.GET.get("fail") == "before":
            raise self.error
        response = self.get_response(request)
        raise self.error
