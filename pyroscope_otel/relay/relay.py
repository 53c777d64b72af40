"""The relay, which this process's agent pushes to."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyroscope_otel.relay import log
from pyroscope_otel.relay.buffer import Buffer, Push
from pyroscope_otel.relay.receiver import Receiver
from pyroscope_otel.relay.sender import Sender
from pyroscope_otel.relay.translate import translate

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroscope_otel.relay.agent_request import Head
    from pyroscope_otel.relay.destination import Destination

__all__ = ("Relay", "RelayState")


@dataclass(frozen=True)
class RelayState:
    """The state of a relay.

    Attributes:
        server: The address of the server that it sends to, without credentials.
        taken: The number of pushes received from the agent.
        sent: The number of pushes that the server accepted.
        waiting: The number of pushes that wait to be sent.
        waiting_bytes: Their size in bytes.
        dropped: The number of discarded pushes: refused by the server, too old, or too many.
        untranslated: The number of pushes passed on without links.
        last_answer: The server's last answer, or why there was none, in words.
        last_answer_at: When, in seconds since the epoch.
    """

    server: str
    taken: int
    sent: int
    waiting: int
    waiting_bytes: int
    dropped: int
    untranslated: int
    last_answer: str | None
    last_answer_at: float | None


class Relay:
    """Receives this process's pushes, translates them, and sends them to the server.

    It has two OS threads, which do not keep the process alive. They do not exist in a forked
    child, so the relay is dead there, and `stop` only closes inherited sockets.

    Args:
        destination: The server.
        labels_of: Returns the current span labels of the profile that a number stands for.
            Called on a relay thread, once for each number and push.
        pushed: Called on that thread after each push, with the time of the last sample of each
            kind of profile (seconds since the epoch), the numbers of live memory and the names of
            the application's own labels.
        upload_buffer: How many bytes are kept while the server does not accept them.
        without_lines: Whether line numbers are removed.

    Raises:
        ValueError: If the environment names a proxy that is not an HTTP proxy.
        OSError: If the system's CA certificates cannot be read.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        labels_of: Callable[[int], tuple[tuple[str, str], ...]],
        pushed: Callable[[dict[str, float], frozenset[int], frozenset[str]], object],
        upload_buffer: int,
        without_lines: bool = False,
    ) -> None:
        self._labels_of = labels_of
        self._pushed = pushed
        self._without_lines = without_lines
        self._taken = 0
        self._untranslated = 0
        self._server = destination.url
        self._pid = os.getpid()
        self._buffer = Buffer(upload_buffer)
        self._sender = Sender(destination, self._buffer)
        self._receiver = Receiver(self._take)

    @property
    def url(self) -> str:
        """The address that the agent must push to."""
        return self._receiver.url

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the agent must send. They contain a secret."""
        return self._receiver.headers

    def start(self) -> None:
        """Start to accept pushes.

        Raises:
            OSError: If 127.0.0.1 cannot be bound.
            RuntimeError: If no thread can start.
        """
        self._sender.start()
        try:
            self._receiver.start()
        except BaseException:
            self._sender.stop(0.0)
            raise

    def start_to_flush(self) -> None:
        """Begin a `flush` without waiting for it."""
        if self._is_alive():
            self._sender.start_to_flush()

    def flush(self, timeout: float) -> bool:
        """Try to send everything received so far, and wait for it.

        Each push is tried once, even if the server is known to be unavailable.

        Args:
            timeout: Seconds to wait.

        Returns:
            Whether nothing is left to send.
        """
        return self._is_alive() and self._sender.flush(timeout)

    def stop(self, timeout: float = 1.0) -> bool:
        """Stop receiving and sending. Waiting pushes are lost.

        Args:
            timeout: Seconds to wait for the threads. A thread that waits for the server's
                answer ends with it.

        Returns:
            Whether the threads have ended.
        """
        if not self._is_alive():
            self._receiver.close()
            self._sender.close()
            return True
        deadline = time.monotonic() + timeout
        receiver_ended = self._receiver.stop(timeout)
        return self._sender.stop(deadline - time.monotonic()) and receiver_ended

    def state(self) -> RelayState:
        """Return the current state."""
        waiting, waiting_bytes = self._buffer.waiting()
        return RelayState(
            server=self._server,
            taken=self._taken,
            sent=self._sender.sent,
            waiting=waiting,
            waiting_bytes=waiting_bytes,
            dropped=self._buffer.dropped,
            untranslated=self._untranslated,
            last_answer=self._sender.last_answer,
            last_answer_at=self._sender.last_answer_at,
        )

    def _is_alive(self) -> bool:
        return os.getpid() == self._pid

    def _take(self, body: bytes, head: Head) -> None:
        self._taken += 1
        headers = {"Content-Type": "application/proto"}
        if head.user_agent:
            headers["User-Agent"] = head.user_agent
        if head.gzipped:
            headers["Content-Encoding"] = "gzip"
        try:
            translated = translate(
                body,
                gzipped=head.gzipped,
                labels_of=self._labels_of,
                without_lines=self._without_lines,
            )
        except Exception:
            self._untranslated += 1
            self._send(Push(body, headers))
            log.report("translate profiles; they go on as they are")
            return
        self._send(Push(translated.body, {**headers, "Content-Encoding": "gzip"}))
        try:
            self._pushed(translated.until, translated.live, translated.label_names)
        except Exception:
            log.report("forget what was pushed")

    def _send(self, push: Push) -> None:
        self._buffer.put(push)
        self._sender.wake()
