"""Twisted's reactor is not followed: code on its thread belongs to none.

`inlineCallbacks` enters and leaves contexts without telling anybody. Code there
could be given labels, and could not be relieved of them when it is suspended.
Work handed to Twisted's threads is right again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroscope_otel import thread_labels
from pyroscope_otel.following.hook import Hook

if TYPE_CHECKING:
    from collections.abc import Callable


class TwistedReactor(Hook):
    """Gives no labels to the thread on which Twisted's reactor runs."""

    module = "twisted.python.threadable"

    def _install(self) -> None:
        from twisted.python.threadable import isInIOThread

        self._is_reactor_thread: Callable[[], bool] = isInIOThread
        thread_labels.require(self._is_other_thread)
        thread_labels.forget()

    def _remove(self) -> None:
        thread_labels.require_no_longer(self._is_other_thread)

    def _is_other_thread(self) -> bool:
        return not self._is_reactor_thread()
