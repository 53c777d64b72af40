"""Lifespans are passed on unchanged. The agent starts and stops with them."""

from functools import partial

import pytest

from pyroscope_otel.setup.agent import AGENT
from tests.adapters.asgi_variants import bare, each_variant
from tests.support.asgi_server import (
    LIFESPAN,
    SHUTDOWN,
    STARTUP,
    Exchange,
    each_loop,
    start_and_stop,
)
from tests.support.child import run as run_in_child
from tests.support.journal import AppError, raises_just

STARTED = {"type": "lifespan.startup.complete"}
STOPPED = {"type": "lifespan.shutdown.complete"}
START_FAILED = {"type": "lifespan.startup.failed", "message": "no database"}
STOP_FAILED = {"type": "lifespan.shutdown.failed", "message": "no database"}


@each_loop
@pytest.mark.parametrize("stopped", [STOPPED, STOP_FAILED], ids=["complete", "failed"])
def test_agent_starts_and_stops_with_the_lifespan(run, stopped, settings, journal):
    needed = []

    async def app(scope, receive, send):
        assert scope is lifespan
        assert await receive() is STARTUP
        needed.append(AGENT.needed)
        journal.note()
        await send(STARTED)
        assert await receive() is SHUTDOWN
        needed.append(AGENT.needed)
        await send(stopped)
        needed.append(AGENT.needed)

    lifespan = dict(LIFESPAN)
    exchange = Exchange(STARTUP, SHUTDOWN)
    middleware = bare(app, settings)
    assert AGENT.needed
    run(partial(middleware, lifespan, *exchange.ends))
    assert exchange.sent == [STARTED, stopped]
    # It runs; it runs; it is stopped, and the next local root span would start it.
    assert needed == [False, False, True]
    assert journal.ids == [None]


@each_loop
def test_startup_that_fails(run, settings):
    async def app(_scope, receive, send):
        await receive()
        await send(START_FAILED)

    exchange = Exchange(STARTUP)
    run(partial(bare(app, settings), dict(LIFESPAN), *exchange.ends))
    assert exchange.sent == [START_FAILED]


@each_loop
@pytest.mark.parametrize("received", [0, 1])
def test_application_without_lifespan_support(run, received, settings):
    error = AppError()

    async def app(_scope, receive, _send):
        for _ in range(received):
            await receive()
        raise error

    exchange = Exchange(STARTUP)
    with raises_just(error):
        run(partial(bare(app, settings), dict(LIFESPAN), *exchange.ends))
    assert exchange.sent == []


@each_loop
@each_variant
def test_lifespan_has_no_root_span(run, assemble, journal):
    async def endpoint(_scope, receive, send):
        await receive()
        await send(STARTED)
        await receive()
        await send(STOPPED)

    run(partial(start_and_stop, assemble(endpoint)))
    assert journal.starts.spans == []


def test_shutdown_exports_the_last_spans_of_the_provider_we_made():
    """Servers often end by a signal, without exit handlers."""
    lines = run_in_child(
        "import tests.adapters.lifespan_program",
        env={"OTEL_BSP_SCHEDULE_DELAY": "600000"},
    )
    assert lines == ["0", "1 True"]
