"""A recorder in place of the agent's two label functions.

It holds labels as the agent does: by OS thread, a set for each, under an ident that a later
thread may reuse. For the running thread it returns the labels that a sample taken there would
have.
"""

from __future__ import annotations

import _thread
import importlib.util
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def _unpatched_get_ident():
    # The recorder must recognize OS threads under gevent's monkey patching too, and
    # must not rely on the code under test for that.
    spec = importlib.util.find_spec("_thread")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_ident


class Recorder:
    """Labels by OS thread, the changes to them, and wrong changes."""

    def __init__(self) -> None:
        self._get_ident = _unpatched_get_ident()
        self._lock = _thread.RLock()
        self.running = True
        self.on_thread: dict[int, set[tuple[str, str]]] = {}
        self.log: list[tuple[str, str, str]] = []
        self.wrong: list[str] = []
        self.before_add = None
        """Called before a label is added, with its key and value."""

    def add(self, key, value):
        if self.before_add is not None:
            self.before_add(key, value)
        with self._lock:
            if not self.running:
                return False
            labels = self.on_thread.setdefault(self._get_ident(), set())
            # A label that is removed at once shows whether an agent runs.
            if any(k == key for k, _ in labels) and value != "probe":
                self.wrong.append(f"add {key}={value} beside {sorted(labels)}")
            labels.add((key, value))
            self.log.append(("add", key, value))
            return True

    def remove(self, key, value):
        with self._lock:
            if not self.running:
                return False
            labels = self.on_thread.get(self._get_ident(), set())
            if (key, value) not in labels:
                self.wrong.append(f"remove {key}={value} from {sorted(labels)}")
            labels.discard((key, value))
            self.log.append(("remove", key, value))
            return True

    def stop(self):
        """Stop as the agent does: labels are gone, and no new ones are accepted."""
        with self._lock:
            self.running = False
            self.on_thread.clear()

    def start(self):
        """Start anew, with no labels."""
        with self._lock:
            self.running = True
            self.on_thread.clear()

    def now(self) -> dict[str, str]:
        """Return the labels of a sample of the running thread, if it were uploaded now."""
        return self.sample()()

    def sample(self) -> Callable[[], dict[str, str]]:
        """Take a sample here; return a function for the labels it would have at its upload.

        The frames are those that a sampler sees, the label is the recorder's, and the rule is
        that of uploads.
        """
        from pyroscope_otel.link.marks import LABEL, MARKS

        with self._lock:
            labels = dict(self.on_thread.get(self._get_ident(), ()))
        labels.pop(LABEL, None)
        number = self.number()

        def upload():
            profile = MARKS.profile_of(number)
            return labels if profile is None else labels | dict(profile.span_labels())

        return upload

    def number(self) -> int:
        """Return the number of a sample of the running thread, 0 if it belongs to no request."""
        # Not earlier: programs put the recorder in the agent's place and then import our package.
        from pyroscope_otel.link.marks import FILENAME, LABEL, number_of_sample

        with self._lock:
            labels = self.on_thread.get(self._get_ident(), set())
            values = [value for key, value in labels if key == LABEL]
        frame, nearest = sys._getframe(1), 0
        while frame is not None and not nearest:
            if frame.f_code.co_filename == FILENAME:
                nearest = frame.f_lineno
            frame = frame.f_back
        return number_of_sample(nearest, values)

    def left_on_others(self) -> dict[int, set[tuple[str, str]]]:
        """Return the other threads that carry labels."""
        own = self._get_ident()
        return {ident: labels for ident, labels in self.left_behind().items() if ident != own}

    def left_behind(self) -> dict[int, set[tuple[str, str]]]:
        """Return the threads that carry labels."""
        with self._lock:
            return {ident: labels for ident, labels in self.on_thread.items() if labels}
