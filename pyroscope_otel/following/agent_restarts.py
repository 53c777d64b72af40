"""Notices when the application starts or stops the agent itself.

A new agent knows no labels, whatever the threads carried under the old one.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pyroscope

from pyroscope_otel import thread_labels
from pyroscope_otel.following.hook import Hook

if TYPE_CHECKING:
    from collections.abc import Callable


class AgentRestarts(Hook):
    """Wraps `pyroscope.configure` and `pyroscope.shutdown`.

    A first start needs no hook: as long as no agent takes labels, none are
    believed to be there.
    """

    module = "pyroscope"

    def _install(self) -> None:
        self._patch(pyroscope, "configure", self._wrap)
        self._patch(pyroscope, "shutdown", self._wrap)

    def _wrap(self, original: Callable[..., bool]) -> Any:
        @functools.wraps(original)
        def start_or_stop(*args: Any, **kwargs: Any) -> bool:
            try:
                return original(*args, **kwargs)
            finally:
                if self.active:
                    thread_labels.forget()

        return start_or_stop
