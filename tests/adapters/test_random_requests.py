"""User code at random, in each variant: each sample has its request's id, or its own root's."""

import anyio

from tests.adapters import asgi_variants, wsgi_variants
from tests.support.asgi_server import START, Exchange, chunk, http, start_and_stop
from tests.support.event_loops import each_loop, run
from tests.support.random_requests import AsyncUserCode, UserCode
from tests.support.wsgi_server import Exchange as WsgiExchange

COUNT = 9


class Endpoint:
    """An ASGI application that runs user code."""

    def __init__(self, code):
        self._code = code

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return
        await receive()
        name = await self._code.handle()
        await send(START)
        async for body in self._code.stream(name):
            await send(chunk(body))
        await send(chunk(more=False))


@each_loop
@asgi_variants.each_variant
def test_asgi(assemble, journal, provider, recorder, new_loop):
    code = AsyncUserCode(provider, journal, recorder)
    app = assemble(Endpoint(code))

    async def serve():
        await app(http(), *Exchange().ends)
        code.check_outside()

    async def main():
        await start_and_stop(app)
        async with anyio.create_task_group() as group:
            for _ in range(COUNT):
                group.start_soon(serve)
        code.check_outside()

    run(main, new_loop)
    assert code.requests == COUNT
    assert code.wrong == []


@wsgi_variants.each_variant
def test_wsgi(assemble, journal, provider, recorder):
    code = UserCode(provider, journal, recorder)
    app = assemble(lambda: code.stream(code.handle()))
    for number in range(COUNT):
        WsgiExchange(take=(None, 1, 2)[number % 3]).serve(app)
        code.check_outside()
    assert code.requests == COUNT
    assert code.wrong == []
