"""Runs the local server: its sockets, event loop and shutdown."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import threading
from contextlib import ExitStack, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from pyroscope_otel.tools.interrupts import signals_as_interrupt
from pyroscope_otel.tools.serve.api import Api
from pyroscope_otel.tools.serve.app import make_app
from pyroscope_otel.tools.serve.bodies import Bodies
from pyroscope_otel.tools.serve.connection import Connection
from pyroscope_otel.tools.serve.events import Changes
from pyroscope_otel.tools.serve.ingest import Ingest
from pyroscope_otel.tools.serve.receiving import Receiving
from pyroscope_otel.tools.serve.source import Sources
from pyroscope_otel.tools.serve.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ("LocalServer", "serve")

_logger = logging.getLogger(__name__)

_MEBIBYTE = 1024 * 1024
# To parse a malicious body can take 25 times its size in memory.
_MAX_BODY_BYTES = 8 * _MEBIBYTE
_MAX_BODIES_BYTES = 32 * _MEBIBYTE
_BODY_SECONDS = 10.0
_MAX_CONNECTIONS = 512
_GRACE_SECONDS = 5
# uvicorn's default of 5 s equals the interval of OpenTelemetry's exporters, which would then
# send on a connection that is being closed.
_KEEP_ALIVE_SECONDS = 30


class LocalServer:
    """Receives, stores and shows profiles and traces while its `with` block runs.

    It is for development and checks no credentials. On an address other than a loopback
    address, it logs a warning.

    Args:
        host: The address to listen on.
        port: The port for pushes, traces, the API and the page; 0 picks a free one.
        otlp_port: A second port, for traces from exporters with their default settings. 0 picks
            a free one, and None opens none.
        data: The file to store the received data in, or None for a temporary one.
        keep: How long data is kept, in seconds.
        max_size: The maximum size of the file, in bytes.

    Raises:
        ForeignFile: The file was not made by this version, or is in use.
        OSError: The file cannot be opened, or an address is taken.
    """

    def __init__(  # noqa: PLR0913 -- keyword-only settings, each with a default
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 4040,
        otlp_port: int | None = 4318,
        data: str | Path | None = None,
        keep: int = 24 * 60 * 60,
        max_size: int = 512_000_000,
    ) -> None:
        self._host = host
        self._ports = [port] if otlp_port is None else [port, otlp_port]
        self._data = None if data is None else Path(data)
        self._keep = keep
        self._max_size = max_size
        self._sources = Sources.of_this_process()
        self._sockets: list[socket.socket] = []
        self._urls: list[str] = []
        self._stopped = threading.Event()
        self._failure: Exception | None = None

    @property
    def url(self) -> str:
        """The address of the page and for agents, such as `http://127.0.0.1:4040`."""
        return self._urls[0]

    @property
    def otlp_url(self) -> str:
        """The address for `OTEL_EXPORTER_OTLP_ENDPOINT`, such as `http://127.0.0.1:4318`."""
        return self._urls[-1]

    def __enter__(self) -> LocalServer:  # noqa: PYI034 -- typing.Self begins with Python 3.11
        """Bind the ports, open the file, and start serving."""
        self._sockets = _bind(self._host, self._ports)
        self._urls = [_url(bound) for bound in self._sockets]
        try:
            store = Store(self._data, keep_seconds=self._keep, max_bytes=self._max_size)
        except BaseException:
            _close(self._sockets)
            raise
        self._warn_if_exposed()
        started = threading.Event()
        self._stopped.clear()
        self._failure = None
        self._thread = threading.Thread(
            target=self._run, args=(store, started), name="pyroscope-otel-local", daemon=True
        )
        self._thread.start()
        started.wait()
        self._raise_failure()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Answer the requests that have arrived, then stop."""
        self._server.should_exit = True
        self._thread.join()

    def _warn_if_exposed(self) -> None:
        address = self._sockets[0].getsockname()[0]
        if not ipaddress.ip_address(address).is_loopback:
            _logger.warning(
                "The local server listens on %s, which other machines can reach. It is for "
                "development and checks no credentials: anyone who reaches it can read every "
                "request and profile, and send data.",
                address,
            )

    def wait(self) -> None:
        """Wait until the server stops. It only stops by itself if it fails."""
        self._stopped.wait()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise RuntimeError("the local server has failed") from self._failure

    def _run(self, store: Store, started: threading.Event) -> None:
        try:
            asyncio.run(self._serve(store, started))
        except Exception as error:
            self._failure = error
        finally:
            store.close()
            _close(self._sockets)
            started.set()
            self._stopped.set()

    async def _serve(self, store: Store, started: threading.Event) -> None:
        changes = Changes()
        ingest = Ingest(store, changes.note)
        try:
            bodies = Bodies(
                max_bytes=_MAX_BODY_BYTES,
                max_total_bytes=_MAX_BODIES_BYTES,
                seconds=_BODY_SECONDS,
            )
            app = make_app(
                Receiving(store, ingest, bodies, max_bytes=_MAX_BODY_BYTES),
                Api(
                    store,
                    changes,
                    self._sources,
                    version=version("pyroscope-otel"),
                    otlp_port=self._sockets[-1].getsockname()[1],
                ),
                self._host,
            )
            self._server = _Server(
                uvicorn.Config(
                    app,
                    http=Connection,
                    access_log=False,
                    proxy_headers=False,
                    log_config=None,
                    lifespan="off",
                    ws="none",
                    limit_concurrency=_MAX_CONNECTIONS,
                    timeout_graceful_shutdown=_GRACE_SECONDS,
                    timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                    server_header=False,
                ),
                on_start=started.set,
                on_stop=changes.close,
            )
            await self._server.serve(self._sockets)
        finally:
            # The file is closed next, and must not have a writer by then.
            await ingest.close()


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        on_start: Callable[[], object],
        on_stop: Callable[[], object],
    ) -> None:
        super().__init__(config)
        self._on_start = on_start
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)


def _bind(host: str, ports: list[int]) -> list[socket.socket]:
    with ExitStack() as opened:
        bound = [_listen(host, port, opened) for port in ports]
        opened.pop_all()  # all succeeded: keep them open
    return bound


def _listen(host: str, port: int, opened: ExitStack) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = opened.enter_context(socket.socket(family, kind, protocol))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Listen at once: if two servers have bound the same port, the second one fails here.
        listener.listen()
    except OSError as error:
        raise OSError(
            error.errno, f"cannot listen on {host}, port {port}: {error.strerror}"
        ) from error
    return listener


def _close(sockets: list[socket.socket]) -> None:
    for opened in sockets:
        opened.close()


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        # A wildcard address, which clients cannot connect to.
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(on_start: Callable[[LocalServer], object] = lambda _server: None, **options: Any) -> None:
    """Run a `LocalServer` until Ctrl-C, SIGTERM or SIGHUP.

    If the caller has set a handler for one of these signals, that handler is kept.

    Args:
        on_start: Called with the server once it listens.
        options: The arguments of `LocalServer`.
    """
    with suppress(KeyboardInterrupt), signals_as_interrupt(), LocalServer(**options) as server:
        on_start(server)
        server.wait()
