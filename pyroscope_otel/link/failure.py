"""Handles failures of our own code, so that the application never notices.

Every entry into this package from a request (a span's start, a task's step, a thread hop, a
middleware) catches its exceptions and reports them here, and only here.
"""

from __future__ import annotations

import logging
import sys

logger = logging.getLogger("pyroscope_otel")

reraise: bool = False
"""For tests: raise exceptions instead of logging them."""

_reported: set[tuple[object, ...]] = set()


def report(where: str) -> None:
    """Log the exception being handled, once for each place and exception type.

    Call it from an ``except Exception`` block.

    Args:
        where: What the code was doing, as a verb phrase for the log.

    Raises:
        Exception: The exception being handled, if `reraise` is set.
    """
    if reraise:
        raise  # noqa: PLE0704  the caller's except block holds the exception
    kind = (where, sys.exc_info()[0])
    if kind in _reported:
        return
    _reported.add(kind)
    logger.exception(  # noqa: LOG004  as above: the caller handles the exception
        "pyroscope-otel failed to %s; profiles may lack labels, the application is not affected. "
        "Further failures of this kind are not logged",
        where,
    )
