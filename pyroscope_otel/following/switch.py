"""The act of following: what every switch point does.

None of these raises into the scheduler that calls it, and each asks again for
as long as the answer may have changed while the labels did (`carry`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroscope_otel import failure, thread_labels
from pyroscope_otel.attribution import current_labels, labels_in
from pyroscope_otel.thread_labels import carry, step_conditions

if TYPE_CHECKING:
    import contextvars

    from pyroscope_otel.attribution import Inherited


def follow_current() -> None:
    """Make the thread's labels those of the current context."""
    try:
        while True:
            since = thread_labels.latest
            if not carry(current_labels(), since):
                return
    except Exception:
        failure.report("follow the current context")


def follow_step() -> None:
    """Do the same in a step of an event loop, which has just entered its context."""
    # Optimization: that the loop is followed goes without saying. To ask takes a
    # tenth of what such a step costs us.
    try:
        while True:
            since = thread_labels.latest
            if not carry(current_labels(), since, step_conditions):
                return
    except Exception:
        failure.report("follow a step")


def follow_context(context: contextvars.Context) -> None:
    """Make the thread's labels those of a context that a followed loop is about to enter."""
    try:
        while True:
            since = thread_labels.latest
            if not carry(labels_in(context), since, step_conditions):
                return
    except Exception:
        failure.report("follow a context")


def follow(inherited: Inherited) -> None:
    """Make the thread's labels those of what a job inherits."""
    try:
        while True:
            since = thread_labels.latest
            if not carry(inherited.labels(), since):
                return
    except Exception:
        failure.report("follow a job")


def follow_nothing() -> None:
    """Take the labels off the thread."""
    try:
        carry(None)
    except Exception:
        failure.report("leave a context")
