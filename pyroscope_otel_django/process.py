"""Tells whether this process serves requests or runs a management command."""

from __future__ import annotations

import multiprocessing
import os
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_VARIABLE = "_PYROSCOPE_OTEL_DJANGO_COMMAND"
"""Where a command stores its process id and name for the processes that it starts.

Their own stacks do not show it: `multiprocessing` starts a new interpreter with the methods
`spawn` and `forkserver`, and so does `subprocess`.
"""

_WITHOUT_AGENT = ("shell", "test")


@cache
def management_command() -> str | None:
    """Return the management command that this process runs, or None.

    A child of `multiprocessing` counts as running its parent's command, however it was started.

    It is first called from `AppConfig.ready`, which a management command calls before anything
    else. `sys.argv` is not enough: its first word may be anything.
    """
    command = _on_the_stack() or _of_the_parent()
    if command is not None:
        left = _inherited() if is_without_agent() else command
        os.environ[_VARIABLE] = f"{os.getpid()}:{left}"
    return command


def is_without_agent() -> bool:
    """Return whether requests in this process are not real traffic, as in tests and shells.

    This also covers all processes that a test or a shell starts, of any kind.
    """
    return _inherited() in _WITHOUT_AGENT


def _on_the_stack() -> str | None:
    management = sys.modules.get("django.core.management")
    if management is None:
        return None
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  documented, despite its name
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
