"""Concurrent and successive requests, work that outlives them, and our own failures."""

from __future__ import annotations

import asyncio
import logging
import warnings
from functools import partial

import pyroscope
import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.urls import path
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from pyroscope_otel.link import failure, switch
from pyroscope_otel.link.attribution import Hold
from pyroscope_otel_django import streaming
from pyroscope_otel_django.asgi import get_asgi_application
from tests.django_adapter.django_project import (
    BY_US,
    Project,
    Urls,
    contrib_above,
    each_of,
    ours_first,
)
from tests.django_adapter.django_servers import asgi, each_server
from tests.support import event_loops
from tests.support.asgi_server import LIFESPAN, SHUTDOWN, STARTUP, Exchange, http
from tests.support.span_profiles import profile_of_span
from tests.support.wsgi_server import Exchange as WsgiExchange
from tests.support.wsgi_server import environ

each_root = each_of(ours_first, contrib_above)


@each_root
@event_loops.each_loop
def test_concurrent_requests(project, new_loop, journal):
    """Each step is in the profile of its request, also while the body of the other streams."""
    notes = {7: journal.another(), 8: journal.another()}

    async def view(request, item):
        async def chunks():
            for _ in range(3):
                notes[item].note()
                await asyncio.sleep(0)
                yield b"x"

        for _ in range(3):
            notes[item].note_in_pool()
            await asyncio.sleep(0)
        notes[item].note()
        assert {request.pyroscope_profile_id} == set(notes[item].ids)
        return StreamingHttpResponse(chunks())

    application = project(view).asgi()

    async def main():
        served = [application(http(f"/items/{item}"), *Exchange().ends) for item in notes]
        await asyncio.gather(*served)

    event_loops.run(main, new_loop)
    journal.check_nothing_is_left()
    ids = [set(one.ids) for one in notes.values()]
    assert sorted(ids, key=sorted) == sorted(
        ({format(root.context.span_id, "016x")} for root in journal.roots()), key=sorted
    )


@each_root
def test_successive_requests_on_one_thread(project, journal):
    def view(request, item):  # noqa: ARG001
        journal.note()
        return StreamingHttpResponse(iter([b"x"]))

    application = project(view).wsgi()
    for _ in range(2):
        WsgiExchange().serve(application)
    journal.check_nothing_is_left()
    assert len(set(journal.ids)) == len(journal.roots()) == 2


@each_root
@event_loops.each_loop
def test_task_belongs_to_no_request_after_its_own_has_ended(project, new_loop, journal):
    task = None

    async def outlive():
        journal.note()
        await is_over.wait()
        journal.note()

    async def view(request, item):  # noqa: ARG001
        nonlocal task
        task = asyncio.create_task(outlive())
        await asyncio.sleep(0)
        return HttpResponse("x")

    application = project(view).asgi()
    is_over = None

    async def main():
        nonlocal is_over
        is_over = asyncio.Event()
        await application(http("/items/7"), *Exchange().ends)
        is_over.set()
        await task

    event_loops.run(main, new_loop)
    (root,) = journal.roots()
    assert journal.ids == [format(root.context.span_id, "016x"), None]


@each_root
def test_remote_parent_is_kept(project, journal):
    def view(request, item):  # noqa: ARG001
        journal.note()
        return HttpResponse("x")

    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    WsgiExchange().serve(project(view).wsgi(), environ(HTTP_TRACEPARENT=traceparent))
    root = journal.check()
    assert format(root.context.trace_id, "032x") == "a" * 32
    assert root.parent.is_remote


@each_of(*BY_US)
def test_span_left_by_another_request_is_not_the_parent(project, provider, journal):
    def view(request, item):  # noqa: ARG001
        journal.note()
        return HttpResponse("x")

    application = project(view).wsgi()
    left_behind = provider.get_tracer("tests").start_span("before")
    left_behind.end()
    token = otel_context.attach(trace.set_span_in_context(left_behind))
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    try:
        application(environ(HTTP_TRACEPARENT=traceparent), lambda *_: None).close()
        assert trace.get_current_span() is left_behind
    finally:
        otel_context.detach(token)
    journal.check_nothing_is_left()
    _, root = journal.roots()
    assert root.kind is trace.SpanKind.SERVER
    assert format(root.context.trace_id, "032x") == "a" * 32
    assert journal.ids == [format(root.context.span_id, "016x")]


@each_server
def test_own_root_span_of_a_view_is_held(configure, provider, serve, journal):
    async def chunks():
        journal.note()
        yield b"x"

    async def view(request, item):  # noqa: ARG001
        assert request.pyroscope_profile_id is None
        with provider.get_tracer("shop").start_as_current_span("own"):
            journal.note()
            assert request.pyroscope_profile_id == journal.ids[-1]
        return StreamingHttpResponse(chunks())

    configure(ROOT_URLCONF=Urls(view), pyroscope={"INSTRUMENT": False})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from Django, about an async iterator under WSGI
        assert serve(Project()) == (200, b"x")
    journal.check()


@event_loops.each_loop
def test_span_left_by_another_request_is_not_the_parent_in_a_view(
    configure, provider, new_loop, journal
):
    async def view(request, item):  # noqa: ARG001
        with provider.get_tracer("shop").start_as_current_span("own"):
            journal.note()
        return HttpResponse("x")

    configure(ROOT_URLCONF=Urls(view), pyroscope={"INSTRUMENT": False})

    async def main():
        with provider.get_tracer("shop").start_as_current_span("before") as left_behind:
            left_behind.end()
            await Project().asgi()(http(), *Exchange().ends)
            assert trace.get_current_span() is left_behind

    event_loops.run(main, new_loop)
    journal.check_nothing_is_left()
    _, root = journal.roots()
    assert root.parent is None
    assert journal.ids == [format(root.context.span_id, "016x")]


def test_unsampled_request_has_no_profile(configure, journal):
    def view(request, item):  # noqa: ARG001
        journal.note()
        assert request.pyroscope_profile_id is None
        return StreamingHttpResponse(journal.note() or b"x" for _ in range(1))

    off = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    configure(ROOT_URLCONF=Urls(view), pyroscope={"TRACER_PROVIDER": off})
    exchange = WsgiExchange()
    exchange.serve(WSGIHandler())
    assert exchange.chunks == [b"x"]
    assert journal.ids == [None, None]


def label_of(configure, recorder, exporter, route, requested):
    """Return the label `span_name` inside a view, and the name of the span."""
    labels = []

    def view(request, **_):  # noqa: ARG001
        labels.append(recorder.now()["span_name"])
        return HttpResponse("x")

    urls = Urls(view)
    urls.urlpatterns = [path(route, view)]
    configure(ROOT_URLCONF=urls)
    WsgiExchange().serve(WSGIHandler(), environ(requested))
    (span,) = exporter.get_finished_spans()
    return labels[0], span.name


def test_label_is_the_name_of_the_route(configure, recorder, exporter):
    label, name = label_of(configure, recorder, exporter, "items/<int:item>/", "/items/7/")
    assert label == name == "GET items/<int:item>/"


def test_label_of_a_route_without_parameters(configure, recorder, exporter):
    label, name = label_of(configure, recorder, exporter, "about/team/", "/about/team/")
    assert name == "GET about/team/"
    assert label == name


# Files, which the server may send itself.


class Wrapper:
    """The `wsgi.file_wrapper` of a server."""

    def __init__(self, file, block_size):
        self.file = file
        self.block_size = block_size

    def __iter__(self):
        return iter([self.file.read()])

    def close(self):
        self.file.close()


class File:
    """A file that takes CPU time to read, such as one in remote storage."""

    name = "file.txt"

    def __init__(self, journal):
        self._journal = journal
        self._blocks = [b"x", b"y"]

    def read(self, _size=-1):
        self._journal.note()
        return self._blocks.pop(0) if self._blocks else b""

    def close(self):
        self._journal.note_in_close()


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
@each_root
@each_server
def test_reading_a_file_is_in_the_profile_of_its_request(project, serve, journal):
    def view(request, item):  # noqa: ARG001
        journal.note()
        return FileResponse(File(journal))

    assert serve(project(view)) == (200, b"xy")
    root = journal.check()
    assert set(journal.ids_in_close) == {format(root.context.span_id, "016x")}


@each_root
def test_file_sent_by_the_server(project, journal):
    def view(request, item):  # noqa: ARG001
        journal.note()
        return FileResponse(File(journal))

    bodies = []
    application = project(view).wsgi()

    def serve(request, start_response):
        bodies.append(application(request, start_response))
        return bodies[0]

    request = environ()
    request["wsgi.file_wrapper"] = Wrapper
    WsgiExchange(iterate=False).serve(serve, request)
    assert isinstance(bodies[0], Wrapper)
    assert isinstance(bodies[0].file, File)
    journal.check()


# Our own failures.


class OurError(Exception):
    """Stands for a bug in our code."""


def fail(*_, **__):
    raise OurError


@pytest.mark.parametrize(
    ("owner", "name", "where"),
    [
        (switch, "current_context", "follow the current context"),
        (Hold, "take", "find the profile of a span"),
        (Hold, "close", "release a request's profile"),
    ],
)
@each_of(ours_first)
@each_server
def test_own_failures_are_logged_once_and_change_nothing(  # noqa: PLR0913, PLR0917
    project, serve, owner, name, where, monkeypatch, caplog
):
    monkeypatch.setattr(failure, "reraise", False)
    monkeypatch.setattr(failure, "_reported", set())
    caplog.set_level(logging.ERROR, logger="pyroscope_otel")

    async def chunks():
        yield b"x"

    def view(request, item):  # noqa: ARG001
        return StreamingHttpResponse(chunks() if serve is asgi else iter([b"x"]))

    application = project(view)
    with monkeypatch.context() as broken:
        broken.setattr(owner, name, fail)
        assert [serve(application), serve(application)] == [(200, b"x"), (200, b"x")]
    places = [record.args[0] for record in caplog.records if record.exc_info[0] is OurError]
    assert where in places
    assert len(set(places)) == len(places)


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
@each_of(ours_first)
@each_server
def test_stream_that_cannot_be_held_releases_its_profile(project, serve, monkeypatch, journal):
    monkeypatch.setattr(failure, "reraise", False)
    monkeypatch.setattr(streaming, "_hold", fail)

    def view(request, item):  # noqa: ARG001
        return StreamingHttpResponse(iter([b"x"]))

    assert serve(project(view)) == (200, b"x")
    (span,) = journal.starts.spans
    assert not profile_of_span(span).is_open()


# The lifespan.


def lifespan_of(application):
    lifespan = Exchange(STARTUP, SHUTDOWN)
    event_loops.run(partial(application, dict(LIFESPAN), *lifespan.ends))
    return [message["type"] for message in lifespan.sent]


def test_lifespan_starts_and_stops_the_agent(configure, recorder, monkeypatch):
    configure()
    recorder.stop()  # the lifespan starts it
    done = []
    monkeypatch.setattr(pyroscope, "configure", lambda **_: done.append("start") or True)
    monkeypatch.setattr(pyroscope, "shutdown", lambda: done.append("stop"))
    sent = lifespan_of(get_asgi_application())
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert done == ["start", "stop"]


def test_requests_reach_django(configure, journal):
    def view(request, item):  # noqa: ARG001
        journal.note()
        return HttpResponse("x")

    configure(ROOT_URLCONF=Urls(view))
    exchange = Exchange()
    event_loops.run(partial(get_asgi_application(), http("/items/7"), *exchange.ends))
    assert exchange.statuses == [200]
    journal.check()
