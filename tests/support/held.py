"""Enters a held request in the middle of a function.

The package calls functions as part of a request (`run_held`), and their stack names it. Here no
frame does, as in an application that makes a span current by hand.
"""

from __future__ import annotations

from contextlib import contextmanager

from pyroscope_otel.link.attribution import INHERITED
from pyroscope_otel.link.switch import follow_current
from pyroscope_otel.link.thread_labels import note_event


@contextmanager
def held(hold):
    """Run code as part of a held request."""
    token = INHERITED.set(hold)
    note_event()
    follow_current()
    try:
        yield
    finally:
        INHERITED.reset(token)
        note_event()
        follow_current()
