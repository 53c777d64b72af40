"""The table of endings for the Django app: nothing is left, however a request ends."""

from __future__ import annotations

import sys
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import got_request_exception
from django.http import Http404, HttpResponse
from django.test import override_settings

from tests.django_adapter.django_bodies import (
    CLOSED_BODIES,
    check,
    each_body,
    streaming,
    streaming_async,
)
from tests.django_adapter.django_project import (
    BY_US,
    contrib_above,
    contrib_below,
    each_of,
    each_variant,
    our_other_middleware_around,
    ours_first,
)
from tests.django_adapter.django_servers import each_server, each_server_and_loop, wsgi
from tests.support import event_loops
from tests.support.asgi_server import LIFESPAN, http, websocket
from tests.support.asgi_server import Exchange as AsgiExchange
from tests.support.endings import Table
from tests.support.journal import AppError, AppExit, raises_just
from tests.support.wsgi_server import Exchange as WsgiExchange
from tests.support.wsgi_server import environ

ending = Table(
    nested_applications="the variants `ours_twice`, `our_other_middleware_around` and others",
)

# Django warns that it converts one kind of iterator into the other.
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")


@ending("normal")
@each_of(ours_first)
@each_server_and_loop
@pytest.mark.parametrize("make_view", [streaming, streaming_async])
@each_body
def test_streaming_body_is_in_the_profile_of_its_request(
    project, serve, make_view, make_body, journal
):
    assert serve(project(make_view(journal, make_body))) == (200, b"xxx")
    check(journal, make_body, project)


@each_variant
@each_server
@each_body
def test_streaming_body_in_each_variant(project, serve, make_body, journal):
    assert serve(project(streaming(journal, make_body))) == (200, b"xxx")
    check(journal, make_body, project)


@ending("exception in a streaming body")
@each_of(ours_first, contrib_above)
@each_server_and_loop
@each_body
@pytest.mark.parametrize("kind", [AppError, AppExit])
def test_exception_in_a_streaming_body(project, serve, make_body, kind, journal):
    error = kind()
    with pytest.raises(kind) as caught:
        serve(project(streaming(journal, make_body, error)))
    assert caught.value is error
    root = journal.check()
    if make_body in CLOSED_BODIES and serve is wsgi:  # under ASGI, Django does not close it
        assert journal.ids_in_close == [format(root.context.span_id, "016x")]


# Exceptions in views and middleware that Django turns into responses.


@contextmanager
def seen_exceptions():
    """Yield the list of exceptions that Django reports."""
    seen = []

    def receive(**_):
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
def test_exception_with_its_own_status(project, serve, journal):
    def view(request, item):  # noqa: ARG001
        journal.note_in_pool()
        raise Http404

    assert serve(project(view))[0] == 404
    journal.check()


class Failing:
    """A middleware that raises before or after the view."""

    def __init__(self, get_response):
        self._get_response = get_response

    def __call__(self, request):
        Failing.journal.note_in_pool()
        if Failing.is_before:
            raise Failing.error
        self._get_response(request)
        raise Failing.error


@each_of(ours_first, contrib_above)
@each_server
@pytest.mark.parametrize("is_before", [True, False], ids=["before the view", "after the view"])
def test_exception_in_a_middleware(project, serve, is_before, journal):
    Failing.journal, Failing.is_before, Failing.error = journal, is_before, AppError()

    def view(request, item):  # noqa: ARG001
        journal.note_in_pool()
        return HttpResponse("x")

    application = project(view)
    below = [*settings.MIDDLEWARE, f"{__name__}.Failing"]
    with override_settings(MIDDLEWARE=below), seen_exceptions() as seen:
        assert serve(application)[0] == 500
    assert seen == [Failing.error]
    journal.check()


# Exceptions that Django propagates.

THROUGH_EVERY_MIDDLEWARE = (*BY_US, contrib_above, contrib_below)


def raising(journal, error, *, is_async):
    def view(request, item):  # noqa: ARG001
        journal.note_in_pool()
        raise error

    async def async_view(request, item):
        view(request, item)

    return async_view if is_async else view


@ending("cancellation")
@each_of(*THROUGH_EVERY_MIDDLEWARE)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync view", "async view"])
def test_exit_in_the_view_under_wsgi(project, is_async, journal):
    error = AppExit()
    application = project(raising(journal, error, is_async=is_async))
    with raises_just(error):
        wsgi(application)
    journal.check()


@each_of(*THROUGH_EVERY_MIDDLEWARE)
@each_server
@pytest.mark.parametrize("is_async", [False, True], ids=["sync view", "async view"])
def test_propagated_exception(project, serve, is_async, journal):
    """With `DEBUG_PROPAGATE_EXCEPTIONS` it passes through every middleware."""
    error = AppError()
    application = project(raising(journal, error, is_async=is_async))
    with override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True), pytest.raises(AppError) as caught:
        serve(application)
    assert caught.value is error
    root = journal.check()
    (event,) = root.events
    assert event.attributes["exception.type"].endswith("AppError")


@each_of(*THROUGH_EVERY_MIDDLEWARE)
def test_exit_leaves_no_current_span(project, journal):
    """Not even the remote parent of the ended request stays current."""
    application = project(raising(journal, AppExit(), is_async=False)).wsgi()
    exchange = WsgiExchange()
    for trace_id in ("a" * 32, "b" * 32):
        traceparent = f"00-{trace_id}-{'c' * 16}-01"
        with pytest.raises(AppExit):
            exchange.serve(application, environ(HTTP_TRACEPARENT=traceparent))
    journal.check_nothing_is_left()
    assert [format(root.context.trace_id, "032x")[0] for root in journal.roots()] == ["a", "b"]


# Bodies that are not exhausted.

OURS_OR_ABOVE = (*BY_US, contrib_above, contrib_below)
"""Without contrib's WSGI middleware, which closes in an empty context or not at all."""


@ending("client disconnects")
@each_of(*OURS_OR_ABOVE, our_other_middleware_around)
@each_body
def test_client_disconnects_under_wsgi(project, make_body, journal):
    exchange = WsgiExchange(take=1)
    exchange.serve(project(streaming(journal, make_body)).wsgi())
    check(journal, make_body, project)
    assert exchange.chunks == [b"x"]


@ending("body closed before it is iterated")
@each_of(*OURS_OR_ABOVE)
@each_body
def test_body_closed_before_it_is_iterated(project, make_body, journal):
    WsgiExchange(iterate=False).serve(project(streaming(journal, make_body)).wsgi())
    check(journal, make_body, project)


@ending("body never iterated")
@each_of(*OURS_OR_ABOVE)
@each_body
def test_body_never_iterated(project, make_body, journal):
    """As for HEAD: a server may call `iter` and take no chunk."""
    WsgiExchange(take=0).serve(project(streaming(journal, make_body)).wsgi())
    check(journal, make_body, project)


@ending("lifespan")
@ending("websocket")
@ending("unknown scope")
@event_loops.each_loop
@pytest.mark.parametrize(
    "scope", [LIFESPAN, websocket(), http(type="mqtt")], ids=lambda s: s["type"]
)
def test_django_refuses_other_scopes(configure, scope, new_loop, journal):
    configure()
    application = ASGIHandler()

    async def main():
        await application(dict(scope), *AsgiExchange().ends)

    with pytest.raises(ValueError, match=r"^Django can only handle ASGI/HTTP connections, not "):
        event_loops.run(main, new_loop)
    journal.check_nothing_is_left()
    assert journal.starts.spans == []


def test_table_is_complete():
    ending.check()
