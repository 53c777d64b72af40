"""The agent goes through a relay, however it is started.

`pyroscope.configure` and `pyroscope.shutdown` look up `initialize_agent` and
`drop_agent` of the compiled module `pyroscope._native` when they are called, so
that these two are the place, whoever imported what before.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import inspect
import logging
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from pyroscope import _native

from pyroscope_otel import failure
from pyroscope_otel.ending import ENDING, seconds_until
from pyroscope_otel.relay import log, unpatched

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from pyroscope_otel.relay.relay import Relay, RelayState

__all__ = ("Link", "hand_over", "install", "state", "uninstall")

logger = logging.getLogger("pyroscope_otel")

_LEAST_SECONDS = 0.2
"""What the relay has at its end at the least, where others have used the time up. It had
that time as well, on threads of its own."""


class Link(Protocol):
    """What the relay of this process asks and tells the rest of the package."""

    @property
    def upload_buffer(self) -> int:
        """How many bytes of profiles are kept while the server does not take them."""

    def wants_relay(self) -> bool:
        """Return whether an agent that starts now goes through a relay."""

    def labels_of(self, number: int) -> tuple[tuple[str, str], ...]:
        """Return the span labels of the profile that a number stands for."""

    def pushed(self, until: dict[str, float], live: frozenset[int]) -> None:
        """Take note of a push; see `Relay`."""

    def agent_starts(self, arguments: dict[str, Any], *, through_relay: bool) -> None:
        """Take note of what an agent is about to be started with, and change it at will."""

    def agent_started(self, kinds: Collection[str]) -> None:
        """Take note that an agent runs, and which kinds of profiles come through a relay."""

    def agent_stopped(self) -> None:
        """Take note that the agent does not run any more."""


class _Hook:
    """The function of ours that stands in the place of one of the agent's."""

    def __init__(self, name: str, ours: Callable[..., bool]) -> None:
        self._name = name
        self._ours = ours
        self._original: Callable[..., bool] | None = None

    @property
    def original(self) -> Callable[..., bool]:
        """What was there before."""
        return self._original or getattr(_native, self._name)

    def put_in(self) -> None:
        if self._original is None:
            self._original = getattr(_native, self._name)
            setattr(_native, self._name, functools.update_wrapper(self._ours, self._original))

    def take_out(self) -> None:
        # Where somebody came after us, it stays, and only passes calls on.
        if getattr(_native, self._name) is self._ours and self._original is not None:
            setattr(_native, self._name, self._original)
            self._original = None


class _Process:
    """What this process has: at most one link, one agent, and its relay."""

    link: Link | None = None
    relay: Relay | None = None
    handed_over: Relay | None = None
    """The relay whose agent has given it the last that it had."""
    is_hooked_to_ends = False


_process = _Process()


def install(link: Link) -> None:
    """From now on, an agent that starts goes through a relay. Installing again is harmless.

    Args:
        link: What the relays of this process ask and tell.
    """
    _process.link = link
    _initialize.put_in()
    _drop.put_in()
    if not _process.is_hooked_to_ends:
        _process.is_hooked_to_ends = True
        os.register_at_fork(after_in_child=_begin_anew_in_child)
        # After the agent's own, which its import registered, and so before it at the end.
        atexit.register(_at_exit)


def uninstall() -> None:
    """Undo `install`. An agent that runs goes on as it is."""
    _process.link = None
    _initialize.take_out()
    _drop.take_out()


def prepare() -> None:
    """Import what a relay needs, so that the request that starts the agent need not."""
    importlib.import_module("pyroscope_otel.relay.relay")


def state() -> RelayState | None:
    """Return what the relay of this process has done so far; None where there is none."""
    relay = _process.relay
    return None if relay is None else relay.state()


def _initialize_agent(*arguments: Any, **keywords: Any) -> bool:
    """Start the agent, through a relay."""
    link = _process.link
    if link is None or not _asks_for_relay(link):
        return _start_directly(link, arguments, keywords)
    failed: Exception | None = None
    try:
        bound = inspect.signature(_initialize.original).bind(*arguments, **keywords)
        relay = _start_relay(bound.arguments, link)
        _tell(partial(link.agent_starts, through_relay=True), bound.arguments)
    except Exception as error:
        failed = error
    if failed is not None:
        # Not while it is handled: what the agent raises is the application's, and is shown
        # without what we tried before.
        started = _start_directly(link, arguments, keywords)
        if started:
            _warn(failed)
        return started
    started = False
    try:
        with _around_proxies():
            started = _initialize.original(*bound.args, **bound.kwargs)
    finally:
        if not started:
            relay.stop()
    if started:
        _process.relay = relay
        ENDING.renew()
        _tell(link.agent_started, _kinds(bound.arguments))
    return started


def _kinds(arguments: dict[str, Any]) -> list[str]:
    """Return the kinds of profiles that an agent started like this pushes."""
    enabled = {"process_cpu": "cpu_enabled", "memory": "mem_enabled"}
    return [kind for kind, argument in enabled.items() if arguments.get(argument, False)]


def _asks_for_relay(link: Link) -> bool:
    try:
        return link.wants_relay()
    except Exception:
        failure.report("start the relay")
        return False


def _start_directly(
    link: Link | None, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> bool:
    if link is not None:
        try:
            bound = inspect.signature(_initialize.original).bind(*arguments, **keywords)
            link.agent_starts(bound.arguments, through_relay=False)
            arguments, keywords = bound.args, bound.kwargs
        except Exception:
            failure.report("look at what the agent is started with")
    started = _initialize.original(*arguments, **keywords)
    if started:
        ENDING.renew()
    if started and link is not None:
        _tell(link.agent_started, ())
    return started


def _start_relay(arguments: dict[str, Any], link: Link) -> Relay:
    """Start a relay to the server that these arguments name, and have them name the relay."""
    _refuse_server_without_threads()
    from pyroscope_otel.relay.destination import Destination
    from pyroscope_otel.relay.relay import Relay

    relay = Relay(
        Destination(
            address=arguments["server_address"],
            basic_auth_username=arguments["basic_auth_username"],
            basic_auth_password=arguments["basic_auth_password"],
            tenant_id=arguments["tenant_id"],
            http_headers=dict(arguments["http_headers"]),
        ),
        labels_of=link.labels_of,
        pushed=link.pushed,
        upload_buffer=link.upload_buffer,
        without_lines=arguments["line_no"] == _native.LineNo.NoLine,
    )
    relay.start()
    arguments["server_address"] = relay.url
    arguments["http_headers"] = relay.headers
    for credential in ("basic_auth_username", "basic_auth_password", "tenant_id"):
        arguments[credential] = ""
    if arguments["line_no"] == _native.LineNo.NoLine:
        # The number of a mark is its line: the relay leaves the lines out.
        arguments["line_no"] = _native.LineNo.LastInstruction
    return relay


_ALWAYS_THREADED = (2, 0, 31)
"""uWSGI has threads in any case: the oldest release that was seen to."""


def _refuse_server_without_threads() -> None:
    """Refuse uWSGI without threads: one that is started there never runs."""
    uwsgi = sys.modules.get("uwsgi")
    options = getattr(uwsgi, "opt", {})
    if tuple(getattr(uwsgi, "version_info", ()))[:3] >= _ALWAYS_THREADED:
        return
    if options and not {"enable-threads", "threads"} & {
        name.decode() if isinstance(name, bytes) else name for name in options
    }:
        raise RuntimeError("uWSGI runs without threads: set its option enable-threads")


def _warn(error: Exception) -> None:
    remedy = "; let the process use 127.0.0.1" if isinstance(error, OSError) else ""
    logger.warning(
        "The relay did not start (%s%s). So the agent sends to the server itself: requests are "
        "told apart by labels of threads, which is right for turns of about 20 ms and more, and "
        "profiles are lost while the server is away",
        error,
        remedy,
    )


@contextlib.contextmanager
def _around_proxies() -> Iterator[None]:
    """Have what is built meanwhile reach 127.0.0.1 without a proxy.

    The agent's client reads the environment once, when the agent starts.
    """
    before = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}
    exempt = before["NO_PROXY"] or before["no_proxy"]
    for name in before:
        os.environ[name] = f"{exempt},127.0.0.1" if exempt else "127.0.0.1"
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def hand_over() -> bool:
    """Flush and stop the agent. Its relay sends what it was given while the caller goes on.

    Returns:
        Whether an agent ran, and nobody else is at it.
    """
    relay = _process.relay
    dropped = _drop.original()
    if dropped:
        if relay is not None:
            relay.start_to_flush()
            _process.handed_over = relay
        if _process.link is not None:
            _tell(_process.link.agent_stopped)
    return dropped


def _drop_agent() -> bool:
    """Flush and stop the agent, and the relay after it."""
    relay = _process.relay
    with ENDING.one() as deadline:
        dropped = hand_over()
        if dropped and relay is not None:
            _end_relay(relay, deadline)
    return dropped


def _end_relay(relay: Relay, deadline: float) -> None:
    if not relay.flush(max(_LEAST_SECONDS, seconds_until(deadline))):
        _say_what_is_lost(relay.state())
    # Where the server lets us wait, the sending thread is left behind.
    relay.stop(max(_LEAST_SECONDS, seconds_until(deadline)))
    if _process.relay is relay:
        _process.relay = None


def _say_what_is_lost(state: RelayState) -> None:
    if state.waiting:
        logger.warning(
            "Pushes of profiles that %s did not take before the end: %d. Its last answer: %s",
            state.server,
            state.waiting,
            state.last_answer or "none",
        )


def _at_exit() -> None:
    relay = _process.relay
    if relay is None:
        return
    with ENDING.one() as deadline:
        if hand_over() or _process.handed_over is relay:
            _end_relay(relay, deadline)
        # Else another thread is at it.
        while _process.relay is relay and seconds_until(deadline):
            unpatched.sleep(0.01)


def _begin_anew_in_child() -> None:
    ENDING.renew()
    log.reset_in_child()
    relay, _process.relay = _process.relay, None
    if relay is not None:
        relay.stop()


def _tell(function: Callable[..., object], *arguments: object) -> None:
    try:
        function(*arguments)
    except Exception:
        failure.report("take note of the agent")


_initialize = _Hook("initialize_agent", _initialize_agent)
_drop = _Hook("drop_agent", _drop_agent)
