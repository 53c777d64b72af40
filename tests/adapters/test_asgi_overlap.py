"""Many requests at once through one middleware: each has its own root span."""

import anyio
import pytest

from pyroscope_otel.asgi import PyroscopeMiddleware
from pyroscope_otel.link.profile import PROFILE_ID_ATTRIBUTE
from tests.adapters.asgi_variants import bare, each_variant
from tests.support.asgi_server import (
    START,
    Exchange,
    chunk,
    each_loop,
    http,
    run_asyncio,
    start_and_stop,
)
from tests.support.journal import AppError

COUNT = 20


def turn(number):
    return http(headers=[(b"number", b"%d" % number)])


class Endpoint:
    """Waits until all requests have started. Some then end with an exception."""

    def __init__(self, journal):
        self.notes = [journal.another() for _ in range(COUNT)]
        self._begun = 0
        self.all_begun = None

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return
        number = int(dict(scope["headers"])[b"number"])
        note = self.notes[number].note_everywhere
        await note()
        self._begun += 1
        if self._begun == COUNT:
            self.all_begun.set()
        await self.all_begun.wait()
        await receive()
        await send(START)
        for _ in range(number % 5):
            await send(chunk())
            await note()
        await send(chunk(more=False))
        await note()
        if number % 3 == 0:
            raise AppError


@each_loop
@each_variant
def test_overlapping_requests(run, assemble, journal):
    endpoint = Endpoint(journal)
    app = assemble(endpoint)

    async def serve(number):
        try:
            await app(turn(number), *Exchange().ends)
        except AppError:
            assert number % 3 == 0
        else:
            assert number % 3 != 0

    async def main():
        await start_and_stop(app)
        endpoint.all_begun = anyio.Event()
        async with anyio.create_task_group() as group:
            for number in range(COUNT):
                group.start_soon(serve, number)

    run(main)
    journal.check_nothing_is_left()
    ids = [set(notes.ids) for notes in endpoint.notes]
    assert all(len(one) == 1 for one in ids)
    assert set().union(*ids) == {root.attributes[PROFILE_ID_ATTRIBUTE] for root in journal.roots()}
    assert len(journal.roots()) == COUNT


@pytest.mark.parametrize("name", ["__setattr__", "__delattr__"])
def test_middleware_does_not_change_after_construction(name, settings, monkeypatch):
    async def endpoint(_scope, receive, send):
        await receive()
        await send(START)
        await send(chunk(more=False))

    def refuse(*arguments):
        raise AssertionError(arguments)

    app = bare(endpoint, settings)
    before = dict(vars(app))
    monkeypatch.setattr(PyroscopeMiddleware, name, refuse)

    async def main():
        exchange = Exchange()
        await app(http(), *exchange.ends)
        assert exchange.statuses == [200]

    run_asyncio(main)
    assert vars(app) == before
