"""Which process this is: one that serves, or a management command."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


@cache
def management_command() -> str | None:
    """Return the name of the management command that this process runs, None if it runs none.

    First called from `AppConfig.ready`, which a management command calls before
    anything else. `sys.argv` would not do: its first word may be anything.
    """
    management = sys.modules.get("django.core.management")
    if management is None:
        return None
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  documented, in spite of its name
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, management.ManagementUtility):
            # Without a command, Django shows its help.
            return str((*caller.argv[1:2], "help")[0])
        frame = frame.f_back
    return None


def is_without_agent() -> bool:
    """Return whether requests in this process are no service: those of tests and shells."""
    return management_command() in ("shell", "test")
