"""Streaming bodies of every kind, and views that answer with them."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

from tests.django_adapter.django_project import contrib_around


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
    """An iterable with a `close` method, over a generator's chunks."""

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
    """An async iterator with a `close` method."""

    def __init__(self, journal, error=None):
        self._journal = journal
        self._chunks = async_generator(journal, error)

    def __aiter__(self):
        return self

    async def __anext__(self):
        return await anext(self._chunks)

    def close(self):
        self._journal.note_in_close()


SYNC_BODIES = (generator, Closed)
CLOSED_BODIES = (Closed, AsyncIterator)
BODIES = (*SYNC_BODIES, async_generator, AsyncIterator)
each_body = pytest.mark.parametrize("make_body", BODIES, ids=lambda body: body.__name__)


def streaming(journal, make_body, *arguments):
    """Return a view that responds with this body."""

    def view(request, item):  # noqa: ARG001
        journal.note_in_pool()
        return StreamingHttpResponse(make_body(journal, *arguments))

    return view


def streaming_async(journal, make_body, *arguments):
    view = streaming(journal, make_body, *arguments)

    async def async_view(request, item):
        return view(request, item)

    return async_view


def check(journal, make_body, project):
    root = journal.check()
    if make_body not in CLOSED_BODIES:
        assert journal.ids_in_close == []
    elif project.of is contrib_around and journal.ids_in_close == [None]:
        pass  # Contrib's WSGI middleware closes the body in an empty context.
    else:
        assert journal.ids_in_close == [format(root.context.span_id, "016x")]
