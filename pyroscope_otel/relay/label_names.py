"""Names of labels that an application puts on its threads, seen when they are uploaded."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pyroscope_otel.relay import log
from pyroscope_otel.setup.findings.profiling import judge_labels

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ("warn_once",)


class _Process:
    has_warned = False


def warn_once(names: Collection[str]) -> None:
    """Warn of labels that Grafana does not show, the first time that there are any.

    Args:
        names: The names of the labels that samples of one push have.
    """
    if _Process.has_warned:
        return
    for finding in judge_labels(sorted(names)):
        _Process.has_warned = True
        log.write(logging.WARNING, "%s", finding.line)
