"""Sends pushes to the server on a separate OS thread, and retries until they arrive."""

from __future__ import annotations

import collections
import logging
import time
from typing import TYPE_CHECKING

from pyroscope_otel.relay import log, unpatched
from pyroscope_otel.relay.post import Route, Unreachable
from pyroscope_otel.relay.retrying import (
    is_temporary,
    pause_seconds,
    refusal,
    retry_after_seconds,
)

if TYPE_CHECKING:
    from pyroscope_otel.relay.buffer import Buffer, Push
    from pyroscope_otel.relay.destination import Destination

__all__ = ("Sender",)

_TIMEOUT_SECONDS = 10.0
_FOREVER = float(unpatched.TIMEOUT_MAX)


class _Flush:
    def __init__(self) -> None:
        self.done = unpatched.Signal()
        self.is_empty = False


class Sender:
    """Sends the contents of a buffer.

    Args:
        destination: The server.
        buffer: The pushes. Call `wake` after adding one.

    Attributes:
        sent: The number of pushes that the server accepted.
        last_answer: The server's last answer, or why there was none, in words.
        last_answer_at: When, in seconds since the epoch.

    Raises:
        ValueError: If the environment names a proxy that is not an HTTP proxy.
        OSError: If the system's CA certificates cannot be read.
    """

    def __init__(self, destination: Destination, buffer: Buffer) -> None:
        self.sent = 0
        self.last_answer: str | None = None
        self.last_answer_at: float | None = None
        self._server = destination.url
        self._headers = destination.headers()
        self._secrets = destination.secrets()
        self._route = Route(destination.push_url)
        self._buffer = buffer
        self._wake = unpatched.Signal()
        self._ended = unpatched.Signal()
        self._is_stopping = False
        self._flushes: collections.deque[_Flush] = collections.deque()
        self._failures = 0
        self._not_before = 0.0
        self._outage: tuple[float, int] | None = None
        self._statuses_logged: set[int] = set()

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: If no thread can start.
        """
        unpatched.start_thread(self._run, ())

    def wake(self) -> None:
        """Wake the thread: there is something to send."""
        self._wake.set()

    def start_to_flush(self) -> _Flush:
        """Begin a `flush` without waiting for it."""
        flush = _Flush()
        self._flushes.append(flush)
        self._wake.set()
        return flush

    def flush(self, timeout: float) -> bool:
        """Try to send everything now.

        Each push is tried once more, whatever delay the server has asked for. If no answer
        comes, the rest is not tried.

        Args:
            timeout: Seconds to wait.

        Returns:
            Whether the buffer was empty afterwards.
        """
        flush = self.start_to_flush()
        if self._is_stopping:
            timeout = 0.0
        return flush.done.wait(timeout) and flush.is_empty

    def stop(self, timeout: float) -> bool:
        """Stop the thread. Return whether it has ended in time."""
        self._is_stopping = True
        self._wake.set()
        return self._ended.stays_set(timeout)

    def close(self) -> None:
        """Close the connection that a forked child inherited from its parent."""
        self._route.close()

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                try:
                    self._step()
                except Exception:  # noqa: PERF203  one failed step must not end the loop
                    log.report("send profiles")
                    self._postpone(pause_seconds(1))
        finally:
            self._ended.set()
            for flush in self._flushes:
                flush.done.set()

    def _step(self) -> None:
        if self._flushes:
            self._send_each_once()
            return
        push = self._buffer.next()
        now = time.monotonic()
        if push is None:
            self._wake.wait(_FOREVER)
        elif now < self._not_before:
            self._wake.wait(self._not_before - now)
        else:
            self._try(push)

    def _send_each_once(self) -> None:
        flushes = []
        while self._flushes:
            flushes.append(self._flushes.popleft())
        try:
            tried: set[int] = set()
            while (push := self._buffer.next()) is not None and id(push) not in tried:
                tried.add(id(push))
                if not self._try(push):
                    break
        finally:
            for flush in flushes:
                flush.is_empty = self._buffer.waiting() == (0, 0)
                flush.done.set()

    def _try(self, push: Push) -> bool:
        """Try to send one push. Return whether the server answered."""
        try:
            answer = self._route.post(
                push.body, {**push.headers, **self._headers}, _TIMEOUT_SECONDS
            )
        except Unreachable as error:
            self._note(str(error))
            self._retry(push, str(error), 0.0)
            return False
        self._note(f"{answer.status}")
        if is_temporary(answer.status):
            self._retry(
                push, f"it answers {answer.status}", retry_after_seconds(answer.retry_after)
            )
            return True
        taken = 200 <= answer.status < 300  # noqa: PLR2004
        self._buffer.remove(push, dropped=not taken)
        self._failures = 0
        self._not_before = 0.0
        if taken:
            self.sent += 1
            self._end_outage()
        elif answer.status not in self._statuses_logged:
            self._statuses_logged.add(answer.status)
            log.write(
                logging.ERROR,
                "Profiles are lost: %s answers %s. This is logged once for each status",
                self._server,
                refusal(answer, self._secrets),
            )
        return True

    def _retry(self, push: Push, reason: str, at_least: float) -> None:
        push.attempts += 1
        self._failures += 1
        self._postpone(max(at_least, pause_seconds(max(self._failures, push.attempts))))
        if self._outage is None:
            self._outage = (time.monotonic(), self._buffer.dropped)
            log.write(
                logging.WARNING,
                "Cannot send profiles to %s: %s. They are kept for up to an hour, at most %d MiB, "
                "and sent when the server accepts them again",
                self._server,
                reason,
                self._buffer.max_bytes // 2**20,
            )

    def _postpone(self, seconds: float) -> None:
        self._not_before = time.monotonic() + seconds

    def _end_outage(self) -> None:
        if self._outage is None:
            return
        (since, dropped), self._outage = self._outage, None
        lost = self._buffer.dropped - dropped
        # At the same level as the beginning: readers of that line look for the end.
        log.write(
            logging.WARNING,
            "%s takes profiles again after %.0f s. %s",
            self._server,
            time.monotonic() - since,
            f"{lost} pushes were lost" if lost else "Nothing was lost",
        )

    def _note(self, answer: str) -> None:
        self.last_answer, self.last_answer_at = answer, time.time()
