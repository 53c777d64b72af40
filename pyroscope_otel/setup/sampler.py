"""Which of the agent's CPU samplers runs.

PySpy reads the stacks of threads that run by the wall clock. Stack has each thread take its
own stack when it has used its share of CPU time (Linux, CPython 3.12 and later): what it says
is exact at any length of turn, it tells CPU time and not time on the run queue, and it costs
less. It starts once in a process, and not below a fork of a process in which it ran; and it
takes no labels of threads, so that a span which is made current in the middle of a function has
no samples there. So it is chosen where requests or tasks are held, as each has a mark below.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import pyroscope

if TYPE_CHECKING:
    from pyroscope_otel.setup.settings import Settings

AUTO, PYSPY, STACK = SAMPLERS = ("auto", "pyspy", "stack")

MAX_FRAMES: Final = 512
"""The most frames that Stack takes of a stack. What is cut off is the root's end, where the
mark is, so its default of 128 is too few."""


class _Process:
    stack_has_run = False
    """Whether Stack was started here, or where this process was forked."""


def choose(settings: Settings, *, holds_requests: bool) -> str:
    """Return the sampler to start: ``"pyspy"`` or ``"stack"``.

    Args:
        settings: The settings.
        holds_requests: Whether what the process serves is run through marks: by a middleware of
            ours, or from the edge of a framework's application or of a queue's worker. A script,
            whose spans are made current by hand, is told apart by labels of threads alone.
    """
    if settings.cpu_implementation != AUTO:
        return settings.cpu_implementation
    fits = (
        holds_requests
        and settings.attribution == "stack"
        and settings.oncpu
        and settings.cpu_enabled
        and takes_stack_on_the_thread()
        and not _Process.stack_has_run
        and not _runs_on_trio()
    )
    return STACK if fits else PYSPY


def _runs_on_trio() -> bool:
    """Return whether this is asked in a run of trio, whose steps are followed by labels."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


def takes_stack_on_the_thread() -> bool:
    """Return whether Stack, here, has each thread take its own stack by its CPU clock."""
    return (
        sys.platform == "linux"
        and sys.version_info >= (3, 12)
        and implementation(STACK) is not None
        and hasattr(pyroscope, "configure_experimental_stack_profiler")
    )


def implementation(name: str) -> Any | None:
    """Return the agent's constant for a sampler; None where this agent has no such one."""
    known = getattr(pyroscope, "ProfilerImplementation", None)
    return getattr(known, {PYSPY: "PySpy", STACK: "Stack"}[name], None)


def name_of(constant: object) -> str | None:
    """Return the name of one of the agent's constants; None if it is none."""
    for name in (PYSPY, STACK):
        known = implementation(name)
        # They are compared by value and have no hash.
        if known is not None and isinstance(constant, type(known)) and constant == known:
            return name
    return None


def prepare_stack() -> None:
    """Have Stack keep deep stacks. The first call in a process decides, be it another's."""
    configure = getattr(pyroscope, "configure_experimental_stack_profiler", None)
    if configure is not None:
        configure(max_nframe=MAX_FRAMES)


def stack_has_started() -> None:
    """Note that Stack runs: it will not start again here."""
    _Process.stack_has_run = True


def has_stack_run() -> bool:
    """Return whether Stack ran here before, or where this process was forked."""
    return _Process.stack_has_run
