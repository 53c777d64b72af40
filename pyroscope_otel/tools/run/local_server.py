"""Finds a running local server for a run, or starts one."""

from __future__ import annotations

import errno
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from pyroscope_otel.tools.asking import Unanswered, ask
from pyroscope_otel.tools.ports import is_free
from pyroscope_otel.tools.run.errors import RunFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("Server", "server")

_PORT = 4040
_PATIENCE_SECONDS = 2.0


class Server(NamedTuple):
    """A local server.

    Attributes:
        url: The address.
        is_ours: Whether the server ends with this run.
    """

    url: str
    is_ours: bool


@contextmanager
def server(port: int | None, data: str | None) -> Iterator[Server]:
    """Provide a local server while the `with` block runs.

    A local server that already listens on the port is used, unless `data` is given, as that
    server has its own file.

    Args:
        port: The port. 0 picks a free one. None means Pyroscope's port, or a free one if
            another program has that.
        data: The file to store the received data in, or None for a temporary one.

    Raises:
        RunFailed: The server cannot be started.
    """
    wanted = _PORT if port is None else port
    taken = wanted != 0 and not is_free(wanted)
    if taken:
        running = f"http://127.0.0.1:{wanted}"
        if data is None and _is_local_server(running):
            yield Server(running, is_ours=False)
            return
        if port is not None:
            raise RunFailed(
                f"port {port} is taken by something else. Choose another with --port; "
                "0 means any free port"
            )
    with ExitStack() as stack:
        yield Server(_start(stack, 0 if taken else wanted, data), is_ours=True)


def _start(stack: ExitStack, port: int, data: str | None) -> str:
    """Start a local server that stops with the exit stack, and return its address."""
    try:
        from pyroscope_otel.tools.serve import ForeignFile, LocalServer
    except ImportError as error:
        if error.name is not None:
            raise
        raise RunFailed(str(error).removesuffix(".")) from error  # it names the extra
    try:
        return stack.enter_context(LocalServer(port=port, otlp_port=None, data=data)).url
    except ForeignFile as error:
        raise RunFailed(f"{error}. Choose another with --data") from error
    except OSError as error:
        reason = f"the local server did not start: {error.strerror or error}"
        if error.errno == errno.EADDRINUSE:
            reason += ". Choose another port with --port; 0 means any free port"
        raise RunFailed(reason) from error


def _is_local_server(url: str) -> bool:
    try:
        status = ask(url, "status", timeout_seconds=_PATIENCE_SECONDS)
    except Unanswered:
        return False
    return isinstance(status, dict) and {"version", "bound", "pushes"} <= status.keys()
