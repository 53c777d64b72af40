"""The local server of a run: the one that runs already, or one of its own."""

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
        url: Its address.
        is_ours: Whether it ends with this run.
    """

    url: str
    is_ours: bool


@contextmanager
def server(port: int | None, data: str | None) -> Iterator[Server]:
    """Have a local server while the `with` block runs.

    One that listens on the port already is used, unless the data is to be kept in a
    file: it has its own.

    Args:
        port: Its port; 0 for a free one; None for Pyroscope's, or a free one where
            something else has that.
        data: The file to keep what was received in; None for a temporary one.

    Raises:
        RunFailed: It cannot be started.
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
                "0 is any free one"
            )
    with ExitStack() as stack:
        yield Server(_start(stack, 0 if taken else wanted, data), is_ours=True)


def _start(stack: ExitStack, port: int, data: str | None) -> str:
    """Start a local server, which ends with the stack, and return its address."""
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
            reason += ". Choose another port with --port; 0 is any free one"
        raise RunFailed(reason) from error


def _is_local_server(url: str) -> bool:
    try:
        status = ask(url, "status", timeout_seconds=_PATIENCE_SECONDS)
    except Unanswered:
        return False
    return isinstance(status, dict) and {"version", "bound", "pushes"} <= status.keys()
