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
        """
import http.server
from functools import partial

posts = []

class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        posts.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"

from tests.support.asgi_server import (
    LIFESPAN,
    SHUTDOWN,
    STARTUP,
    Exchange,
    http as request,
    run_asyncio,
)
from pyroscope_otel.asgi import PyroscopeMiddleware

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

middleware = PyroscopeMiddleware(
    app, application_name="shop", server_address="http://127.0.0.1:9"
)

async def main():
    await middleware(request("/"), *Exchange().ends)
    print(len(posts))
    await middleware(dict(LIFESPAN), *Exchange(STARTUP, SHUTDOWN).ends)
    print(len(posts), b"pyroscope.profile.id" in posts[0])
    sys.stdout.flush()
    os._exit(0)

run_asyncio(main)
""",
        env={"OTEL_BSP_SCHEDULE_DELAY": "600000"},
    )
    assert lines == ["0", "1 True"]
