"""Runs an application's start-up, GET requests and shutdown in this process."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from contextlib import AbstractContextManager

    Around = Callable[[], AbstractContextManager[None]]

_STARTUP_SECONDS = 20.0
_REQUEST_SECONDS = 20.0


@dataclass
class Request:
    """A GET request and its outcome.

    Attributes:
        path: The path and query.
        status: The status of the response, or 0 if there was none.
        error: The exception that the application raised, in words.
        began_ns: The start, by the clock of the spans (`time.time_ns`).
        ended_ns: The time when the response was closed, by the same clock.
        cpu_ns: The CPU time of the whole process in between.
    """

    path: str
    status: int = 0
    error: str = ""
    began_ns: int = 0
    ended_ns: int = 0
    cpu_ns: int = 0

    @contextlib.contextmanager
    def timed(self) -> Any:
        """Time the block, and record an exception instead of raising it."""
        self.began_ns, cpu = time.time_ns(), time.process_time_ns()
        try:
            yield
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
        finally:
            self.cpu_ns = time.process_time_ns() - cpu
            self.ended_ns = time.time_ns()

    def facts(self) -> dict[str, Any]:
        """Return the attributes as a JSON object."""
        return asdict(self)


def call_wsgi(
    app: Any, path: str, host: str, *, times: int, around_each: Around
) -> tuple[list[Request], str]:
    """Send GETs to a WSGI application, one after the other.

    Args:
        app: The application.
        path: The path and query of each request.
        host: The host name in each request.
        times: The number of requests.
        around_each: Returns a context manager to hold around each request.

    Returns:
        The requests, and "unsupported": a WSGI application has no start-up event.
    """
    requests = [Request(path) for _ in range(times)]
    for request in requests:
        with around_each(), request.timed():
            _call_wsgi(app, request, host)
    return requests, "unsupported"


def _call_wsgi(app: Any, request: Request, host: str) -> None:
    path, _, query = request.path.partition("?")
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path, "latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": host,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": host,
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }

    def start_response(status: str, _headers: Any, _exc_info: Any = None) -> Any:
        request.status = int(status.split(" ", 1)[0])
        return lambda _data: None

    deadline = time.monotonic() + _REQUEST_SECONDS
    body = app(environ, start_response)
    try:
        for _ in body:
            if time.monotonic() > deadline:
                break
    finally:
        getattr(body, "close", bool)()


def call_asgi(
    app: Any, path: str, host: str, *, times: int, around_each: Around
) -> tuple[list[Request], str]:
    """Run an ASGI application's lifespan with GETs inside. Takes the arguments of `call_wsgi`.

    Returns:
        The requests, none if the start-up failed, and the result of the start-up:
        "complete", "unsupported", or an error message.
    """
    return asyncio.run(_run_asgi(app, [Request(path) for _ in range(times)], host, around_each))


async def _run_asgi(
    app: Any, requests: list[Request], host: str, around_each: Around
) -> tuple[list[Request], str]:
    lifespan = _Lifespan(app)
    started = await lifespan.start()
    if started not in ("complete", "unsupported"):
        return [], started
    for request in requests:
        with around_each(), request.timed():
            await _call_in_time(app, request, host, lifespan.state)
    await lifespan.stop()
    return requests, started


class _Lifespan:
    """An ASGI application's lifespan, as servers run it."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._to_app: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}

    async def start(self) -> str:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}
        self._task = asyncio.ensure_future(self._app(scope, self._to_app.get, self._from_app.put))
        await self._to_app.put({"type": "lifespan.startup"})
        message = await self._answer()
        if message is None and not self._task.done():
            return f"it did not come to an end in {_STARTUP_SECONDS:.0f} s"
        if message is None:
            # By the specification, an application that raises does not support lifespan.
            return "unsupported"
        if message["type"] == "lifespan.startup.complete":
            return "complete"
        return str(message.get("message") or "it reports that its start-up failed")

    async def stop(self) -> None:
        if self._task is not None and not self._task.done():
            await self._to_app.put({"type": "lifespan.shutdown"})
            await self._answer()
            self._task.cancel()

    async def _answer(self) -> MutableMapping[str, Any] | None:
        """Return the application's next message, or None if it ends or times out."""
        assert self._task is not None  # noqa: S101  for the type checker
        answer = asyncio.ensure_future(self._from_app.get())
        done, _ = await asyncio.wait(
            {answer, self._task}, timeout=_STARTUP_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if answer in done:
            return answer.result()
        answer.cancel()
        if self._task in done and not self._task.cancelled():
            self._task.exception()  # Marks it as retrieved, so that asyncio logs no warning.
        return None


async def _call_in_time(app: Any, request: Request, host: str, state: dict[str, Any]) -> None:
    """Call the application. Cutting off a body that does not end is not its failure."""
    call = asyncio.ensure_future(_call_asgi(app, request, host, state))
    if not (await asyncio.wait({call}, timeout=_REQUEST_SECONDS))[0]:
        call.cancel()
        await asyncio.wait({call})
        if not request.status:
            request.error = f"no answer in {_REQUEST_SECONDS:.0f} s"
    if not call.cancelled():
        call.result()


async def _call_asgi(app: Any, request: Request, host: str, state: dict[str, Any]) -> None:
    path, _, query = request.path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", host.encode())],
        "client": ("127.0.0.1", 1),
        "server": (host, 80),
        "state": dict(state),
    }
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])
    gone = asyncio.Event()

    async def receive() -> MutableMapping[str, Any]:
        message = next(messages, None)
        if message is None:
            await gone.wait()
            return {"type": "http.disconnect"}
        return message

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            request.status = message["status"]
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            gone.set()

    await app(scope, receive, send)
