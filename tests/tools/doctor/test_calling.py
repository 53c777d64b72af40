"""Applications whose start-up, response or body never ends."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from pyroscope_otel.tools.doctor.child import calling


def call(app, times=1):
    return calling.call_asgi(app, "/", "localhost", times=times, around_each=contextlib.nullcontext)


async def answer(send, *, ends):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"x", "more_body": not ends})


def test_endless_start_up_counts_as_failed(monkeypatch):
    monkeypatch.setattr(calling, "_STARTUP_SECONDS", 0.05)

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await asyncio.Event().wait()
        await answer(send, ends=True)

    assert call(app) == ([], "it did not come to an end in 0 s")


def test_application_without_a_lifespan():
    async def app(scope, _receive, send):
        assert scope["type"] == "http"
        await answer(send, ends=True)

    requests, started = call(app, times=2)
    assert started == "unsupported"
    assert [(one.status, one.error) for one in requests] == [(200, "")] * 2


@pytest.mark.parametrize(
    ("begins", "status", "error"), [(True, 200, ""), (False, 0, "no answer in 0 s")]
)
def test_endless_body_is_cut_off_and_a_missing_response_is_an_error(
    monkeypatch, begins, status, error
):
    monkeypatch.setattr(calling, "_REQUEST_SECONDS", 0.2)
    ended = []

    async def app(scope, _receive, send):
        assert scope["type"] == "http"
        if begins:
            await answer(send, ends=False)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(scope["path"])

    (request,), _ = call(app)
    assert (request.status, request.error) == (status, error)
    assert ended == ["/"]


def test_exception_of_the_application_is_kept():
    async def app(scope, _receive, _send):
        assert scope["type"] == "http"
        raise TimeoutError("of its own")

    (request,), _ = call(app)
    assert request.error == "TimeoutError: of its own"
