"""The limits for reading bodies, without a server."""

import asyncio

import pytest
from starlette.requests import Request

from pyroscope_otel.tools.serve.bodies import Bodies
from pyroscope_otel.tools.serve.refusal import Refused


def request(*chunks, length=None, pause=0.0):
    """Return a request whose body arrives in chunks, each after a pause."""
    rest = list(chunks)

    async def receive():
        await asyncio.sleep(pause)
        body = rest.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(rest)}

    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def read(bodies, wanted, *, hold=0.0):
    async with bodies.read(wanted) as body:
        await asyncio.sleep(hold)
        return body


def test_body_in_chunks():
    bodies = Bodies(max_bytes=10, max_total_bytes=10, seconds=30)
    assert asyncio.run(read(bodies, request(b"01234", b"56789"))) == b"0123456789"


@pytest.mark.parametrize("length", ["10", "0010", "0" * 5000 + "10"])
def test_announced_length_up_to_the_limit(length):
    bodies = Bodies(max_bytes=10, max_total_bytes=10, seconds=30)
    assert asyncio.run(read(bodies, request(b"01234", length=length))) == b"01234"


@pytest.mark.parametrize("length", ["11", "9" * 5000])
def test_announced_length_over_the_limit(length):
    bodies = Bodies(max_bytes=10, max_total_bytes=10, seconds=30)
    with pytest.raises(Refused, match=r"^the body is larger than 10 bytes$") as refused:
        asyncio.run(read(bodies, request(b"", length=length)))
    assert refused.value.status == 413


@pytest.mark.parametrize("length", ["x", "-1", "1.5", "1e3", "²"])
def test_announced_length_that_is_not_a_number(length):
    bodies = Bodies(max_bytes=10, max_total_bytes=10, seconds=30)
    headers = [(b"content-length", length.encode("latin-1"))]
    wanted = Request({"type": "http", "method": "POST", "headers": headers})
    with pytest.raises(Refused, match=r"^Content-Length must be a number$") as refused:
        asyncio.run(read(bodies, wanted))
    assert refused.value.status == 400


def test_more_than_announced():
    bodies = Bodies(max_bytes=10, max_total_bytes=10, seconds=30)
    with pytest.raises(Refused, match=r"^the body is larger than 10 bytes$"):
        asyncio.run(read(bodies, request(b"0123456789", b"0", length=1)))


def test_slow_body_has_one_deadline():
    bodies = Bodies(max_bytes=1000, max_total_bytes=1000, seconds=0.2)
    with pytest.raises(Refused, match=r"^the body arrived too slowly$") as refused:
        asyncio.run(read(bodies, request(*[b"x"] * 1000, pause=0.05)))
    assert refused.value.status == 408


def test_timeout_while_waiting_for_room():
    async def both():
        bodies = Bodies(max_bytes=10, max_total_bytes=10, seconds=0.1)
        holder = asyncio.create_task(read(bodies, request(b"first"), hold=30))
        await asyncio.sleep(0.01)
        try:
            with pytest.raises(Refused, match=r"^the server is busy: try again later$") as refused:
                await read(bodies, request(b"second", length=6))
        finally:
            holder.cancel()
        return refused.value

    refused = asyncio.run(both())
    assert (refused.status, refused.headers) == (503, {"Retry-After": "1"})


def test_room_is_released_after_every_failure():
    async def many():
        bodies = Bodies(max_bytes=10, max_total_bytes=10, seconds=30)
        for _ in range(5):
            with pytest.raises(Refused):
                await read(bodies, request(b"0123456789", b"0"))
            cut_off = asyncio.create_task(read(bodies, request(b"x", pause=30)))
            await asyncio.sleep(0)
            cut_off.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cut_off
        return await read(bodies, request(b"0123456789"))

    assert asyncio.run(asyncio.wait_for(many(), 30)) == b"0123456789"


def test_bodies_in_memory_stay_within_the_limit():
    held, most = 0, 0

    async def hold(bodies):
        nonlocal held, most
        async with bodies.read(request(b"01234", length=5)) as body:
            held += len(body)
            most = max(most, held)
            await asyncio.sleep(0)
            held -= len(body)

    async def many():
        bodies = Bodies(max_bytes=10, max_total_bytes=12, seconds=30)
        await asyncio.gather(*[hold(bodies) for _ in range(50)])

    asyncio.run(many())
    assert most == 10
