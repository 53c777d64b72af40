"""Makes every agent push to a relay, however it is started.

`pyroscope.configure` and `pyroscope.shutdown` look up `initialize_agent` and `drop_agent` in
the compiled module `pyroscope._native` at each call. Replacing these two therefore works
regardless of who imported what before.
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

from pyroscope_otel.link import failure
from pyroscope_otel.relay import log, unpatched
from pyroscope_otel.relay.ending import ENDING, seconds_until

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from pyroscope_otel.relay.relay import Relay, RelayState

__all__ = ("Link", "hand_over", "install", "state", "uninstall")

logger = logging.getLogger("pyroscope_otel")

_MIN_SECONDS = 0.2
"""The minimum time for the relay to finish, if other shutdown steps have used up the shared
time. It sends on its own threads, so it could use that time too."""


class Link(Protocol):
    """The callbacks from this process's relay to the rest of the package."""

    @property
    def upload_buffer(self) -> int:
        """How many bytes of profiles are kept while the server does not accept them."""

    def wants_relay(self) -> bool:
        """Return whether an agent that starts now should push to a relay."""

    def labels_of(self, number: int) -> tuple[tuple[str, str], ...]:
        """Return the span labels of the profile that a number stands for."""

    def pushed(
        self, until: dict[str, float], live: frozenset[int], label_names: frozenset[str]
    ) -> None:
        """Handle a push; see `Relay`."""

    def agent_starts(self, arguments: dict[str, Any], *, through_relay: bool) -> None:
        """Handle the arguments of an agent that is about to start. They may be changed."""

    def agent_started(self, kinds: Collection[str]) -> None:
        """Handle the start of an agent, given the kinds of profiles that a relay gets."""

    def agent_stopped(self) -> None:
        """Handle the stop of the agent."""


class _Hook:
    """Replaces one of the agent's functions with ours."""

    def __init__(self, name: str, ours: Callable[..., bool]) -> None:
        self._name = name
        self._ours = ours
        self._original: Callable[..., bool] | None = None

    @property
    def original(self) -> Callable[..., bool]:
        """The replaced function."""
        return self._original or getattr(_native, self._name)

    def put_in(self) -> None:
        if self._original is None:
            self._original = getattr(_native, self._name)
            setattr(_native, self._name, functools.update_wrapper(self._ours, self._original))

    def take_out(self) -> None:
        # If another tool has replaced it since, ours stays and only passes calls on.
        if getattr(_native, self._name) is self._ours and self._original is not None:
            setattr(_native, self._name, self._original)
            self._original = None


class _Process:
    """The state of this process: at most one link, one agent, and its relay."""

    link: Link | None = None
    relay: Relay | None = None
    handed_over: Relay | None = None
    """The relay that has received its agent's last push."""
    is_hooked_to_ends = False


_process = _Process()


def install(link: Link) -> None:
    """Make every agent that starts from now on push to a relay. Repeating it is harmless.

    Args:
        link: The callbacks for the relays of this process.
    """
    _process.link = link
    _initialize.put_in()
    _drop.put_in()
    if not _process.is_hooked_to_ends:
        _process.is_hooked_to_ends = True
        os.register_at_fork(after_in_child=_reset_in_child)
        # Registered after the agent's own handler (on import), so it runs before that one at
        # exit.
        atexit.register(_at_exit)


def uninstall() -> None:
    """Undo `install`. A running agent is not affected."""
    _process.link = None
    _initialize.take_out()
    _drop.take_out()


def prepare() -> None:
    """Import the relay's dependencies, so that the request that starts the agent need not."""
    importlib.import_module("pyroscope_otel.relay.relay")


def state() -> RelayState | None:
    """Return the state of this process's relay, or None if there is none."""
    relay = _process.relay
    return None if relay is None else relay.state()


def _initialize_agent(*arguments: Any, **keywords: Any) -> bool:
    """Start the agent through a relay."""
    link = _process.link
    if link is None or not _wants_relay(link):
        return _start_directly(link, arguments, keywords)
    failed: Exception | None = None
    try:
        bound = inspect.signature(_initialize.original).bind(*arguments, **keywords)
        relay = _start_relay(bound.arguments, link)
        _tell(partial(link.agent_starts, through_relay=True), bound.arguments)
    except Exception as error:
        failed = error
    if failed is not None:
        # Outside the except block: an exception of the agent is the application's, and should
        # not show our failed attempt as its context.
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
    """Return the kinds of profiles that an agent with these arguments pushes."""
    enabled = {"process_cpu": "cpu_enabled", "memory": "mem_enabled"}
    return [kind for kind, argument in enabled.items() if arguments.get(argument, False)]


def _wants_relay(link: Link) -> bool:
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
    """Start a relay to the server in these arguments, and point the arguments to the relay."""
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
        # A mark's number is its line number, so the relay removes the lines instead.
        arguments["line_no"] = _native.LineNo.LastInstruction
    return relay


_ALWAYS_THREADED = (2, 0, 31)
"""From this release on, uWSGI always has threads (the oldest release that was checked)."""


def _refuse_server_without_threads() -> None:
    """Raise RuntimeError under uWSGI without threads: a new thread would never run there."""
    uwsgi = sys.modules.get("uwsgi")
    options = getattr(uwsgi, "opt", {})
    if tuple(getattr(uwsgi, "version_info", ()))[:3] >= _ALWAYS_THREADED:
        return
    if options and not {"enable-threads", "threads"} & {
        name.decode() if isinstance(name, bytes) else name for name in options
    }:
        raise RuntimeError("uWSGI runs without threads: set its option enable-threads")


def _warn(error: Exception) -> None:
    remedy = "; allow the process to use 127.0.0.1" if isinstance(error, OSError) else ""
    logger.warning(
        "The relay did not start (%s%s). The agent sends to the server directly: requests are "
        "identified by thread labels, which is accurate for turns of about 20 ms and more, and "
        "profiles are lost while the server is unavailable",
        error,
        remedy,
    )


@contextlib.contextmanager
def _around_proxies() -> Iterator[None]:
    """Make HTTP clients that are created meanwhile reach 127.0.0.1 without a proxy.

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
    """Flush and stop the agent. Its relay sends the last push while the caller continues.

    Returns:
        Whether this call stopped an agent. False if none ran or another caller is stopping it.
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
    """Flush and stop the agent, then the relay."""
    relay = _process.relay
    with ENDING.step() as deadline:
        dropped = hand_over()
        if dropped and relay is not None:
            _end_relay(relay, deadline)
    return dropped


def _end_relay(relay: Relay, deadline: float) -> None:
    if not relay.flush(max(_MIN_SECONDS, seconds_until(deadline))):
        _log_lost_pushes(relay.state())
    # If the server does not answer, the sending thread is abandoned.
    relay.stop(max(_MIN_SECONDS, seconds_until(deadline)))
    if _process.relay is relay:
        _process.relay = None


def _log_lost_pushes(state: RelayState) -> None:
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
    with ENDING.step() as deadline:
        if hand_over() or _process.handed_over is relay:
            _end_relay(relay, deadline)
        # Otherwise another thread is stopping it.
        while _process.relay is relay and seconds_until(deadline):
            unpatched.sleep(0.01)


def _reset_in_child() -> None:
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
