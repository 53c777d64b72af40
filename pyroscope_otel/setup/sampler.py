"""Chooses which of the agent's CPU samplers runs.

PySpy reads the stacks of running threads at wall-clock intervals. Stack (Linux, CPython 3.12
and later) has each thread record its own stack after a fixed amount of CPU time. Stack is exact
for turns of any length, counts CPU time rather than time on the run queue, and costs less.

Stack has two limits. It starts only once in a process, and never in a fork of a process where it
ran. It ignores thread labels, so a span made current in the middle of a function gets no
samples. It is therefore chosen only where requests or tasks are held, as each then has a mark.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

import pyroscope

if TYPE_CHECKING:
    from pyroscope_otel.setup.settings import Settings

AUTO, PYSPY, STACK = SAMPLERS = ("auto", "pyspy", "stack")

MAX_FRAMES: Final = 512
"""The maximum depth of Stack's samples. Stack cuts off the root end, where the mark is, so its
default of 128 is too low."""


class _Process:
    stack_has_run = False
    """Whether Stack was started in this process, or in a parent before the fork."""


def choose(settings: Settings, *, holds_requests: bool) -> str:
    """Return the sampler to start: ``"pyspy"`` or ``"stack"``.

    Args:
        settings: The settings.
        holds_requests: Whether the process runs its requests or tasks through marks: by our
            middleware, or by the hooks on applications and queue workers. A script that makes
            spans current by hand depends on thread labels alone.
    """
    if settings.cpu_implementation != AUTO:
        return settings.cpu_implementation
    fits = (
        holds_requests
        and settings.attribution == "stack"
        and settings.oncpu
        and settings.cpu_enabled
        and stack_uses_thread_clocks()
        and not _Process.stack_has_run
        and not _runs_on_trio()
        and not _runs_in_uwsgi()
    )
    return STACK if fits else PYSPY


def _runs_on_trio() -> bool:
    """Return whether trio runs the caller. Trio's steps are followed by thread labels."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


def _runs_in_uwsgi() -> bool:
    """Return whether uWSGI runs this process. Its workers crash at their end if Stack runs.

    Seen with uWSGI 2.0.31, pyroscope-io 1.4 and CPython 3.12: it ends Python in a signal handler.
    """
    return "uwsgi" in sys.modules


def stack_uses_thread_clocks() -> bool:
    """Return whether Stack, on this platform, samples each thread by its own CPU clock."""
    return (
        sys.platform == "linux"
        and sys.version_info >= (3, 12)
        and implementation(STACK) is not None
        and hasattr(pyroscope, "configure_experimental_stack_profiler")
    )


def stack_arguments(settings: Settings) -> dict[str, Any]:
    """Return the arguments of `pyroscope.configure` that Stack needs besides the settings' own.

    The agent labels samples with the process id only under PySpy. Under Stack, the label is put
    on the whole profile.
    """
    arguments: dict[str, Any] = {"cpu_implementation": implementation(STACK)}
    if settings.report_pid:
        arguments["tags"] = {**settings.tags, "pid": str(os.getpid())}
    return arguments


def implementation(name: str) -> Any | None:
    """Return the agent's constant for a sampler, or None if this agent lacks that sampler."""
    known = getattr(pyroscope, "ProfilerImplementation", None)
    return getattr(known, {PYSPY: "PySpy", STACK: "Stack"}[name], None)


def name_of(constant: object) -> str | None:
    """Return the sampler that an agent's constant stands for, or None if it is no such constant."""
    for name in (PYSPY, STACK):
        known = implementation(name)
        # The constants compare by value and are not hashable.
        if known is not None and isinstance(constant, type(known)) and constant == known:
            return name
    return None


def prepare_stack() -> None:
    """Make Stack keep deep stacks. Only the first call in a process counts, whoever makes it."""
    configure = getattr(pyroscope, "configure_experimental_stack_profiler", None)
    if configure is not None:
        configure(max_nframe=MAX_FRAMES)


def stack_has_started() -> None:
    """Record that Stack has started: it cannot start again in this process."""
    _Process.stack_has_run = True


def has_stack_run() -> bool:
    """Return whether Stack has run in this process, or in a parent before the fork."""
    return _Process.stack_has_run
