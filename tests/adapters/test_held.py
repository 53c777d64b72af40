"""What the adapters share."""

from __future__ import annotations

from contextvars import Context

from pyroscope_otel.request import held, hold_request


class Suspended:
    """Awaitable that suspends, for ever."""

    def __await__(self):
        yield


def test_a_held_coroutine_that_is_destroyed_in_another_context(recorder):
    async def request():
        with held(hold_request()):
            await Suspended()

    coroutine = request()
    Context().run(coroutine.send, None)
    Context().run(coroutine.close)
    assert recorder.left_behind() == {}
