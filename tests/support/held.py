"""Being in a held request in the middle of a function.

The package itself calls functions as part of one (`run_held`), and then the stack says
whose they are. Here there is no frame below that could, as where an application makes
a span current by hand.
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
