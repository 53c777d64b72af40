"""Which process this is: one that serves, or a management command, or started by one."""

from __future__ import annotations

import multiprocessing
import os
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_VARIABLE = "_PYROSCOPE_OTEL_DJANGO_COMMAND"
"""Where a command leaves its process's id and its name for the processes that it starts.

Their own stacks do not show it: `multiprocessing` starts an interpreter of its own with
the methods `spawn` and `forkserver`, as does `subprocess`.
"""

_WITHOUT_AGENT = ("shell", "test")


@cache
def management_command() -> str | None:
    """Return the name of the management command that this process runs, None if it runs none.

    A child of `multiprocessing` runs what its parent does, however it was started.

    First called from `AppConfig.ready`, which a management command calls before
    anything else. `sys.argv` would not do: its first word may be anything.
    """
    command = _on_the_stack() or _of_the_parent()
    if command is not None:
        left = _inherited() if is_without_agent() else command
        os.environ[_VARIABLE] = f"{os.getpid()}:{left}"
    return command


def is_without_agent() -> bool:
    """Return whether requests in this process are no service: those of tests and shells.

    So are those of all processes that a test or a shell starts, of whatever kind.
    """
    return _inherited() in _WITHOUT_AGENT


def _on_the_stack() -> str | None:
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


def _of_the_parent() -> str | None:
    parent = multiprocessing.parent_process()
    pid, _, command = os.environ.get(_VARIABLE, "").partition(":")
    return command if parent is not None and pid == str(parent.pid) else None


def _inherited() -> str:
    return os.environ.get(_VARIABLE, "").partition(":")[2]
