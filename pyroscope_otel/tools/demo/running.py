"""Runs the demo until Ctrl-C."""

from __future__ import annotations

import errno
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NoReturn

from pyroscope_otel.tools.asking import Unanswered
from pyroscope_otel.tools.demo import words
from pyroscope_otel.tools.demo.errors import DemoFailed
from pyroscope_otel.tools.demo.results import results
from pyroscope_otel.tools.demo.shop_process import ShopProcess, require_packages
from pyroscope_otel.tools.demo.terminal import Terminal
from pyroscope_otel.tools.demo.traffic import pair_of_requests, round_of_requests, send_together
from pyroscope_otel.tools.interrupts import signals_as_interrupt
from pyroscope_otel.tools.ports import is_free

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyroscope_otel.tools.demo.results import Result
    from pyroscope_otel.tools.demo.traffic import Request
    from pyroscope_otel.tools.serve import LocalServer

__all__ = ("run",)

_PORT = 4040
_OTLP_PORT = 4318
_PAUSE_SECONDS = 4.0
_ARRIVAL_SECONDS = 20.0
_POLL_SECONDS = 0.2


def run(
    *,
    port: int | None = None,
    data: str | None = None,
    once: bool = False,
    memory: bool = False,
) -> int:
    """Run the demo: the local server, an example service, and requests to it.

    The demo runs until Ctrl-C, SIGTERM or SIGHUP, and each of these counts as success.

    Args:
        port: The local server's port; 0 picks a free one. The default is Pyroscope's 4040,
            or a free port if that is taken.
        data: The file to store the received data in. The default is a temporary one.
        once: Whether to send the requests once, print a table, and return.
        memory: Whether to take memory profiles.

    Returns:
        The exit status: 0, or 1 after an error, which is printed.
    """
    terminal = Terminal()
    try:
        with signals_as_interrupt():
            _run(terminal, port, data, once=once, memory=memory)
    except KeyboardInterrupt:
        terminal.say("Stopped.")
    except (DemoFailed, Unanswered) as error:
        terminal.clear()
        print(f"pyroscope-otel: {error}", file=sys.stderr)  # noqa: T201  a command talks
        return 1
    return 0


def _run(
    terminal: Terminal, port: int | None, data: str | None, *, once: bool, memory: bool
) -> None:
    require_packages()
    terminal.progress("Starting the local server ...")
    with _server(terminal, port, data) as server:
        terminal.say(f"Local server  {server.url}")
        terminal.progress("Starting the example shop ...")
        with ShopProcess(profiles_to=server.url, traces_to=server.otlp_url, memory=memory) as shop:
            terminal.say(f"Example shop  {shop.url}")
            try:
                pair, mixed = pair_of_requests(), round_of_requests(1)
                _send_first(terminal, shop, pair, mixed)
                if not once:
                    first = _first_results(terminal, server.url, shop, [*pair, mixed[0]])
                    terminal.say(words.look(server.url, shop.url, first, memory=memory))
                    _send_on(terminal, shop)
            finally:
                terminal.progress("Stopping the shop, which uploads its last samples ...")
        arrived = results(server.url, [*pair, *mixed])
        terminal.say(words.once(server.url, arrived, data))
        if missing := len(pair) + len(mixed) - len(arrived):
            raise DemoFailed(
                f"{missing} of the shop's requests did not arrive at the local server."
                f"{shop.last_words()}"
            )


@contextmanager
def _server(terminal: Terminal, port: int | None, data: str | None) -> Iterator[LocalServer]:
    try:
        from pyroscope_otel.tools.serve import ForeignFile, LocalServer
    except ImportError as error:
        if error.name is not None:
            raise
        raise DemoFailed(str(error)) from error  # it names the extra
    port, otlp_port = _ports(terminal, port)
    with ExitStack() as stack:
        try:
            try:
                server = stack.enter_context(LocalServer(port=port, otlp_port=otlp_port, data=data))
            except OSError as error:
                if otlp_port is None or error.errno != errno.EADDRINUSE:
                    raise
                # Another program took a port in between. The second port is not needed.
                server = stack.enter_context(LocalServer(port=port, otlp_port=None, data=data))
        except ForeignFile as error:
            raise DemoFailed(f"{error}. Choose another with --data.") from error
        except OSError as error:
            raise DemoFailed(_why_not(error)) from error
        yield server


def _ports(terminal: Terminal, port: int | None) -> tuple[int, int | None]:
    """Return the local server's port, and a second one for traces if that is free."""
    if port is None:
        port = _PORT if is_free(_PORT) else 0
        if not port:
            terminal.say(f"Port {_PORT} is taken: using a free one. Choose another with --port.")
    otlp_port = None  # the main port accepts traces too
    if port != _OTLP_PORT:
        if is_free(_OTLP_PORT):
            otlp_port = _OTLP_PORT
        else:
            terminal.say(f"Port {_OTLP_PORT} is taken: traces use the port of the profiles.")
    return port, otlp_port


def _why_not(error: OSError) -> str:
    reason = f"The local server did not start: {error.strerror or error}."
    if error.errno == errno.EADDRINUSE:
        reason += " Choose another port with --port; 0 means any free port."
    return reason


def _send_first(
    terminal: Terminal, shop: ShopProcess, pair: Sequence[Request], mixed: Sequence[Request]
) -> None:
    """Send the pair of requests alone, and then the mixed requests."""
    total = len(pair) + len(mixed)
    answered = 0

    def show() -> None:
        nonlocal answered
        answered += 1
        terminal.progress(f"Sending requests: {answered} of {total} answered ...")

    _send(shop, pair, show)
    _send(shop, mixed, show)
    terminal.say(f"Requests      {total} answered")


def _first_results(
    terminal: Terminal, url: str, shop: ShopProcess, requests: Sequence[Request]
) -> list[Result]:
    """Wait for the profiles of these requests, and return them, oldest first."""
    terminal.progress("Waiting for their profiles, which arrive once a second ...")
    give_up_at = time.monotonic() + _ARRIVAL_SECONDS
    while time.monotonic() < give_up_at:
        arrived = [one for one in results(url, requests) if one.cpu_ms]
        if len(arrived) == len(requests):
            return arrived
        time.sleep(_POLL_SECONDS)
    raise DemoFailed(
        f"The shop answered, but its profiles did not arrive within {_ARRIVAL_SECONDS:g} s. "
        f"Running pyroscope-otel doctor may help.{shop.last_words()}"
    )


def _send_on(terminal: Terminal, shop: ShopProcess) -> NoReturn:
    """Send a round of requests every few seconds, until Ctrl-C."""
    answered = 0

    def show(more: int = 1) -> None:
        nonlocal answered
        answered += more
        terminal.progress(f"{answered} more answered ...")

    show(0)
    number = 1
    while True:
        time.sleep(_PAUSE_SECONDS)
        number += 1
        _send(shop, round_of_requests(number), show)


def _send(shop: ShopProcess, requests: Sequence[Request], on_answer: Callable[[], None]) -> None:
    try:
        send_together(shop.url, requests, on_answer)
    except OSError as error:
        shop.check()
        raise DemoFailed(f"The shop did not answer: {error}.") from error
