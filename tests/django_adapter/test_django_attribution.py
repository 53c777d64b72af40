"""Attribution of views and of the work that they pass on, under WSGI and ASGI."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.db import connection
from django.http import HttpResponse

from pyroscope_otel.link import thread_labels
from tests.django_adapter.django_project import each_of, each_variant, ours_first
from tests.django_adapter.django_servers import each_server, each_server_and_loop

# Views. At every step each notes the id that a sample would have.


def sync(journal, request):  # noqa: ARG001
    journal.note_in_pool()


async def asynchronous(journal, request):  # noqa: ARG001
    journal.note_in_pool()
    await asyncio.sleep(0)
    journal.note()


async def child_tasks(journal, request):  # noqa: ARG001
    async def child():
        journal.note()
        await asyncio.sleep(0)
        journal.note()

    await asyncio.gather(child(), child())
    journal.note()


async def sync_to_async_in_the_sensitive_thread(journal, request):  # noqa: ARG001
    journal.note()
    await sync_to_async(journal.note_in_pool, thread_sensitive=True)()
    journal.note()


async def sync_to_async_in_any_thread(journal, request):  # noqa: ARG001
    journal.note()
    notes = [sync_to_async(journal.note_in_pool, thread_sensitive=False)() for _ in range(3)]
    await asyncio.gather(*notes)
    journal.note()


def async_to_sync_and_back(journal, request):
    journal.note()
    async_to_sync(sync_to_async_in_the_sensitive_thread)(journal, request)
    journal.note()
    async_to_sync(sync_to_async_in_any_thread)(journal, request)
    journal.note()


def query(journal):
    """Query the database, which calls `journal.note` while it works."""
    connection.ensure_connection()
    connection.connection.create_function("note", 0, journal.note)
    with connection.cursor() as cursor:
        cursor.execute("SELECT note()")
        cursor.fetchall()
    journal.note()


def database(journal, request):  # noqa: ARG001
    query(journal)


def database_in_threads(journal, request):  # noqa: ARG001
    def job():
        try:
            query(journal)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(job) for _ in range(3)]:
            future.result()
    journal.note()


async def database_from_async(journal, request):  # noqa: ARG001
    await sync_to_async(query)(journal)
    journal.note()


def own_child_span(journal, request):  # noqa: ARG001
    provider = settings.PYROSCOPE["TRACER_PROVIDER"]
    with provider.get_tracer("tests").start_as_current_span("inner"):
        journal.note_in_pool()
    journal.note()


VIEWS = (
    sync,
    asynchronous,
    child_tasks,
    sync_to_async_in_the_sensitive_thread,
    sync_to_async_in_any_thread,
    async_to_sync_and_back,
    database,
    database_in_threads,
    database_from_async,
    own_child_span,
)


def as_view(user_code, journal):
    """Return a view that runs the code and checks the request's profile id."""

    def answer(request):
        assert request.pyroscope_profile_id == journal.ids[-1]
        return HttpResponse("x")

    if inspect.iscoroutinefunction(user_code):

        async def view(request, item):
            assert item == 7
            await user_code(journal, request)
            return answer(request)
    else:

        def view(request, item):
            assert item == 7
            user_code(journal, request)
            return answer(request)

    return view


@each_of(ours_first)
@each_server_and_loop
@pytest.mark.parametrize("user_code", VIEWS, ids=lambda view: view.__name__)
def test_each_step_of_a_view_is_in_the_profile_of_its_request(project, serve, user_code, journal):
    assert serve(project(as_view(user_code, journal))) == (200, b"x")
    journal.check()


@each_variant
@each_server
@pytest.mark.parametrize("user_code", [sync, asynchronous, async_to_sync_and_back])
def test_views_in_each_variant(project, serve, user_code, journal):
    assert serve(project(as_view(user_code, journal))) == (200, b"x")
    journal.check()


@pytest.mark.usefixtures("labels_only")
@each_of(ours_first)
@each_server
def test_request_has_no_profile_id_if_samples_cannot_have_it(project, serve, recorder):
    """In direct mode, if the thread may have no labels."""
    seen_ids = []

    def view(request, item):  # noqa: ARG001
        seen_ids.append((request.pyroscope_profile_id, recorder.now()))
        return HttpResponse("x")

    def refuse():
        return False

    thread_labels.require(refuse)
    try:
        serve(project(view))
    finally:
        thread_labels.require_no_longer(refuse)
    assert seen_ids == [(None, {})]
