"""User code at random, in each variant: each sample has its request's id, or its own root's."""

from tests.adapters import asgi_variants, wsgi_variants
from tests.support.asgi_server import START, chunk, start_and_stop
from tests.support.event_loops import each_loop, run
from tests.support.random_requests import AsyncUserCode, UserCode


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

    async def main():
        await start_and_stop(app)
        await code.serve_at_once(app)

    run(main, new_loop)
    code.check()


@wsgi_variants.each_variant
def test_wsgi(assemble, journal, provider, recorder):
    code = UserCode(provider, journal, recorder)
    code.serve_in_turn(assemble(lambda: code.stream(code.handle())))
    code.check()
