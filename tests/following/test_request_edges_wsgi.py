"""WSGI requests that others trace, and Django's, are held from edge to edge."""

from __future__ import annotations

import contextvars
from contextlib import contextmanager
from functools import partial

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse, StreamingHttpResponse
from django.test import override_settings
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from tests.django_adapter.django_project import Urls
from tests.following.traced_apps import contrib_flask, contrib_wsgi, each_of, each_wsgi
from tests.support.asgi_server import Exchange as AsgiExchange
from tests.support.asgi_server import http
from tests.support.event_loops import each_loop, run
from tests.support.journal import AppError, AppExit, raises_just
from tests.support.wsgi_server import Exchange, environ


class Body:
    """A body with a `close`, whose chunks come from another iterator."""

    def __init__(self, samples, error=None):
        self._samples = samples
        self._chunks = produce(samples, error)

    def __iter__(self):
        self._samples.take_in_pool("streaming")
        return self._chunks

    def close(self):
        self._samples.take("close")
        self._chunks.close()


def produce(samples, error=None):
    samples.take_in_pool("streaming")
    for _ in range(3):
        yield b"x"
        samples.take_in_pool("streaming")
    if error is not None:
        raise error


def answer_with(samples, make_body, *arguments):
    def answer():
        samples.take_in_pool("first line")
        return make_body(samples, *arguments)

    return answer


def check(case, assemble):
    """Check that all samples belong to the one root span."""
    (profile_id,) = case.profile_ids()
    places = case.samples.places()
    if assemble is contrib_wsgi:
        # Contrib leaves the span's context before it closes the body.
        assert case.samples.ids("close") <= {None, profile_id}
        places -= {"close"}
    assert case.samples.ids(*places) == {profile_id}


each_body = pytest.mark.parametrize(
    "make_body", [Body, produce, lambda samples: list(produce(samples))]
)


@each_wsgi
@each_body
def test_all_of_a_request_belongs_to_it(case, assemble, make_body):
    exchange = Exchange()
    exchange.serve(assemble(answer_with(case.samples, make_body), case.provider))
    check(case, assemble)
    assert exchange.chunks == [b"x"] * 3


@each_wsgi
@pytest.mark.parametrize("kind", [AppError, AppExit])
def test_exceptions_in_a_body_arrive_unchanged(case, assemble, kind):
    error = kind()
    with raises_just(error):
        Exchange().serve(assemble(answer_with(case.samples, Body, error), case.provider))
    check(case, assemble)


@each_wsgi
def test_exceptions_in_the_application_arrive_unchanged(case, assemble):
    def answer():
        case.samples.take("first line")
        raise error

    error = AppError()
    with raises_just(error):
        Exchange().serve(assemble(answer, case.provider))
    check(case, assemble)


@each_wsgi
@each_body
def test_client_disconnects(case, assemble, make_body):
    exchange = Exchange(take=1)
    exchange.serve(assemble(answer_with(case.samples, make_body), case.provider))
    check(case, assemble)
    assert exchange.chunks == [b"x"]


@each_of(contrib_flask)
def test_body_never_iterated(case, assemble):
    """Contrib's WSGI middleware then ends no span. The others do."""
    Exchange(iterate=False).serve(assemble(answer_with(case.samples, Body), case.provider))
    check(case, assemble)


@each_of(contrib_flask)
def test_server_has_no_samples_between_chunks(case, assemble):
    """Contrib's WSGI middleware leaves its span current there, as a generator does."""

    def serve():
        body = app(environ(), Exchange().start_response)
        between.extend(case.recorder.sample() for _ in body)
        body.close()
        between.append(case.recorder.sample())

    between = []
    app = assemble(answer_with(case.samples, produce), case.provider)
    contextvars.copy_context().run(serve)
    assert [upload() for upload in between] == [{}] * 4


def unsampled():
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(PyroscopeSpanProcessor())
    return provider


@each_wsgi
@each_body
def test_unsampled_request(case, assemble, make_body):
    exchange = Exchange()
    exchange.serve(assemble(answer_with(case.samples, make_body), unsampled()))
    assert case.samples.ids() == {None}
    assert exchange.chunks == [b"x"] * 3
    assert case.recorder.log == []


@pytest.mark.usefixtures("case")
def test_body_of_an_unsampled_request_is_passed_on_unwrapped():
    """Servers handle some types of bodies better."""

    def of(body):
        app = contrib_flask(lambda: body, unsampled())
        return app(environ(), Exchange().start_response)

    plain = contextvars.copy_context().run(of, iter([b"x"]))
    assert type(plain).__module__.startswith("werkzeug")
    plain.close()


def test_requests_in_the_context_of_the_previous_one(case):
    """A server's thread serves one after the other."""

    def answer():
        case.samples.take_in_pool("first" if len(case.profile_ids()) == 0 else "second")
        return produce(case.samples)

    def serve():
        app = contrib_flask(answer, case.provider)
        for _ in range(2):
            exchange = Exchange()
            body = app(environ(), exchange.start_response)
            assert list(body) == [b"x"] * 3
            body.close()

    contextvars.copy_context().run(serve)
    first, second = case.profile_ids()
    assert case.samples.ids("first") == {first}
    assert case.samples.ids("second") == {second}
    assert case.samples.ids() == {first, second}


# Django


@contextmanager
def django(view, provider):
    """Return a function that makes Django serve a view, traced by contrib's instrumentation."""
    instrumentor = DjangoInstrumentor()
    with override_settings(MIDDLEWARE=[], ROOT_URLCONF=Urls(view)):
        instrumentor.instrument(tracer_provider=provider)
        try:
            yield
        finally:
            instrumentor.uninstrument()


@pytest.mark.parametrize("kind", ["plain", "streamed"])
def test_django_under_wsgi(case, kind):
    def view(request, item):  # noqa: ARG001
        case.samples.take_in_pool("first line")
        if kind == "plain":
            return HttpResponse(b"x")
        return StreamingHttpResponse(Body(case.samples))

    exchange = Exchange()
    with django(view, case.provider):
        exchange.serve(WSGIHandler())
    check(case, django)
    assert b"".join(exchange.chunks) == (b"x" if kind == "plain" else b"xxx")


@each_loop
def test_django_under_asgi(case, new_loop):
    async def body():
        for _ in range(3):
            await case.samples.take_everywhere("streaming")
            yield b"x"
        await case.samples.take_everywhere("streaming")

    async def view(request, item):  # noqa: ARG001
        await case.samples.take_everywhere("first line")
        return StreamingHttpResponse(body())

    exchange = AsgiExchange()
    with django(view, case.provider):
        contextvars.copy_context().run(
            run, partial(ASGIHandler(), http(), *exchange.ends), new_loop
        )
    check(case, django)
    assert exchange.body == b"xxx"


@each_loop
def test_django_sync_view_under_asgi(case, new_loop):
    def view(request, item):  # noqa: ARG001
        case.samples.take_in_pool("first line")
        return HttpResponse(b"x")

    exchange = AsgiExchange()
    with django(view, case.provider):
        contextvars.copy_context().run(
            run, partial(ASGIHandler(), http(), *exchange.ends), new_loop
        )
    check(case, django)
    assert exchange.body == b"x"
