"""The Pyroscope agent of this process: starts it when needed, stops it, handles forks.

The agent must start after the last fork. So `configure` does not start it. The first local root
span of each process does. That happens on a request's path, so `ensure_running` never waits for
a lock, and costs one attribute check if there is nothing to do.
"""

from __future__ import annotations

import logging
import os
import time
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

import pyroscope

from pyroscope_otel.link import failure, thread_labels
from pyroscope_otel.link.attribution import INHERITED, Hold
from pyroscope_otel.relay import agent_start
from pyroscope_otel.setup import child_ends, sampler
from pyroscope_otel.setup.uploads import UPLOADS

if TYPE_CHECKING:
    from pyroscope_otel.setup.settings import Settings

logger = logging.getLogger("pyroscope_otel")

_RETRY_SECONDS = 60.0
_POLL_SECONDS = 0.01


class _State(Enum):
    OFF = auto()
    """No known agent runs."""
    RUNNING = auto()
    """Our agent runs."""
    FOREIGN = auto()
    """The application's own agent runs and is used unchanged."""
    STOPPING = auto()
    """Our agent is flushing on its own thread."""
    REFUSED = auto()
    """Our agent did not start."""
    LEFT_BEHIND = auto()
    """The application's own agent ran in the process that this one was forked from."""


class Agent:
    """The agent of this process. The module's functions are methods of its single instance.

    Attributes:
        needed: Whether the next local root span has to start the agent.
    """

    def __init__(self) -> None:
        self.needed = False
        self._settings: Settings | None = None
        self._state = _State.OFF
        self._retry_at = 0.0
        # A lock for OS threads. Under gevent, a "thread" that flushes for seconds would block
        # all greenlets.
        self._lock = thread_labels.os_thread.allocate_lock()
        self._is_hooked_to_fork = False
        self._ran_before_fork = False
        self._sampler = sampler.PYSPY
        self.holds_requests = False
        self.arguments: dict[str, Any] | None = None
        """The arguments of `pyroscope.configure` when this last tried to start the agent."""

    def arm(self, settings: Settings, *, holds_requests: bool = False) -> None:
        """Store the settings. From now on, the next local root span starts the agent.

        Args:
            settings: With `start` "now", the agent starts immediately as well.
            holds_requests: Whether one of our middlewares holds the requests of this process.
        """
        if not self._is_hooked_to_fork:
            self._is_hooked_to_fork = True
            os.register_at_fork(after_in_child=self._reset_in_child)
        self._settings = settings
        self.holds_requests = self.holds_requests or holds_requests
        UPLOADS.configure(settings)
        agent_start.prepare()
        self._retry_at = 0.0
        self.needed = True
        child_ends.watch(self.stop)
        if settings.start == "now":
            self.ensure_running()

    @property
    def is_armed(self) -> bool:
        """Whether a local root span starts the agent, or has started it."""
        return self._settings is not None

    def disarm(self) -> None:
        """Forget the settings. Nothing starts the agent any more."""
        self._settings = None
        self.needed = False

    def ensure_running(self) -> None:
        """Start the agent in this process if it is armed and not running.

        Never raises and never waits for another thread. Starting takes about 20 ms, once per
        process. The agent holds the GIL all that time, so a separate thread would not help the
        request.
        """
        if not self.needed:
            return
        try:
            self._start_unless_postponed()
        except Exception:
            failure.report("start the Pyroscope agent")

    def stop(self, timeout_seconds: float = 5.0) -> bool:
        """Flush and stop the agent, if it is ours. It stays armed.

        If the server does not answer, the flush takes 10 s or more. It then continues on its
        own thread, which does not keep the process alive.

        Args:
            timeout_seconds: How long to wait for the flush.

        Returns:
            Whether our agent has stopped. If False, the flush continues.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self._begin_to_stop():
            if not _pause_until(deadline):
                return False
        while self._state is _State.STOPPING:
            if not _pause_until(deadline):
                return False
        return self._state is not _State.RUNNING

    def _start_unless_postponed(self) -> None:
        now = time.monotonic()
        if now < self._retry_at:
            return
        # If the lock is held, another thread is starting the agent, and this request need not
        # wait. Positional: in Python 3.10, locks of `_thread` take no keyword.
        if not self._lock.acquire(False):  # noqa: FBT003
            return
        try:
            before = self._state
            self._start(now)
        finally:
            self._lock.release()
        # Outside the lock, because logging may switch greenlets.
        if self._state is not before:
            self._log_state()
            if self._state is _State.RUNNING:
                child_ends.agent_started(self.stop)

    def _start(self, now: float) -> None:
        settings = self._settings
        if self._state is _State.STOPPING:
            return
        if settings is None or self._state is _State.RUNNING:
            self.needed = False
            if settings is None and self._ran_before_fork and not thread_labels.agent_is_running():
                self._state = _State.LEFT_BEHIND
            return
        # Before the attempt, which may raise.
        self._retry_at = now + _RETRY_SECONDS
        # Checked first: the agent logs an error if its start is refused.
        if thread_labels.agent_is_running():
            self._state = _State.FOREIGN
        elif self._configure(settings):
            self._state = _State.RUNNING
        elif thread_labels.agent_is_running():
            self._state = _State.FOREIGN
        else:
            self._state = _State.REFUSED
            return
        self.needed = False

    def _configure(self, settings: Settings) -> bool:
        arguments = settings.agent_arguments()
        # Usually the first root span starts it: a request's, or a consumer's or script's.
        is_request = isinstance(INHERITED.get(None), Hold)
        self._sampler = sampler.choose(settings, holds_requests=self.holds_requests or is_request)
        if self._sampler == sampler.STACK:
            arguments |= sampler.stack_arguments(settings)
        self.arguments = arguments
        return bool(pyroscope.configure(**arguments))

    def _log_state(self) -> None:
        settings = self._settings
        if self._state is _State.RUNNING and settings is not None:
            logger.info(
                "Pyroscope agent started for %s, server %s, sampler %s",
                settings.shown("application_name"),
                settings.shown("server_address"),
                self._sampler,
            )
        elif self._state is _State.FOREIGN:
            logger.info("The application's own Pyroscope agent runs; it is used as it is")
        elif self._state is _State.REFUSED and self._is_second_stack(settings):
            logger.error(
                "The Pyroscope agent did not start; there are no profiles. Its sampler 'stack' "
                "can start only once in a process, and has already run in this process or its "
                "parent. With cpu_implementation='auto', the sampler is 'pyspy' in that case"
            )
        elif self._state is _State.REFUSED:
            logger.error(
                "The Pyroscope agent did not start; there are no profiles. It will be tried again "
                "every %d s. With enable_logging=True the agent logs the reason to stderr",
                _RETRY_SECONDS,
            )
        elif self._state is _State.LEFT_BEHIND:
            logger.warning(
                "There are no profiles: the application started the Pyroscope agent in the process "
                "that this one was forked from, and an agent does not survive a fork. Call "
                "pyroscope.configure in each serving process (with gunicorn, in post_fork), or "
                "pyroscope_otel.configure instead, which starts the agent in each process."
            )

    def _is_second_stack(self, settings: Settings | None) -> bool:
        return (
            settings is not None
            and settings.cpu_implementation == sampler.STACK
            and sampler.has_stack_run()
        )

    def _begin_to_stop(self) -> bool:
        """Begin to stop the agent. Return False if the lock is held, to try again."""
        if not self._lock.acquire(False):  # noqa: FBT003  by position, as above
            return False
        try:
            if self._state is _State.RUNNING:
                self.needed = False
                self._state = _State.STOPPING
                try:
                    thread_labels.os_thread.start_new_thread(self._flush, ())
                except RuntimeError:
                    # From Python 3.12 on, no thread can start during interpreter shutdown. The
                    # agent's own exit handler flushes in that case.
                    self._state = _State.RUNNING
            elif self._state is not _State.STOPPING:
                self._state = _State.OFF
                self.needed = self._settings is not None
        finally:
            self._lock.release()
        return True

    def _flush(self) -> None:
        try:
            pyroscope.shutdown()
        finally:
            self._retry_at = 0.0
            self.needed = self._settings is not None
            self._state = _State.OFF

    def before_fork(self) -> None:
        """Remember whether an agent runs. The child will not have it."""
        self._ran_before_fork = thread_labels.agent_is_running()

    def after_fork_in_child(self) -> None:
        """Let the child's first local root span look for an agent.

        It is too early here: many children serve no request, and an agent may still be started.
        """
        if self._ran_before_fork:
            self.needed = True

    def _reset_in_child(self) -> None:
        """Reset in a forked child, where the parent's agent is dead.

        The agent does not start here, even with `start` "now". Many children execute another
        program or never serve a request, and a fork handler must not start threads. The child's
        first local root span starts the agent.
        """
        # The thread that held the lock may not exist in the child.
        self._lock = thread_labels.os_thread.allocate_lock()
        self._state = _State.OFF
        self._retry_at = 0.0
        self.needed = self._settings is not None


def _pause_until(deadline: float) -> bool:
    """Sleep briefly. Return whether time is left before the deadline.

    Polling, because under gevent `time.sleep` lets other greenlets run, and an unpatched lock
    does not.
    """
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        return False
    time.sleep(min(_POLL_SECONDS, remaining))
    return True


AGENT = Agent()
os.register_at_fork(before=AGENT.before_fork, after_in_child=AGENT.after_fork_in_child)

arm = AGENT.arm
disarm = AGENT.disarm
ensure_running = AGENT.ensure_running
stop = AGENT.stop
