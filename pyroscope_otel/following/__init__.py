"""Following: at every switch point, make the stack name the owner of the running code.

A switch point is a place where the code running on a thread changes its context. Each module in
this package hooks one kind of switch point. A hook is installed once, can be removed, and calls
`switch` or `through_marks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroscope_otel.following.arrival import forget_callback, forget_waiting, when_imported
from pyroscope_otel.following.asyncio_steps import AsyncioSteps
from pyroscope_otel.following.greenlets import Greenlets
from pyroscope_otel.following.otel_context import ContextSwitches, Renames
from pyroscope_otel.following.pool_jobs import AsgirefJobs, PoolJobs
from pyroscope_otel.following.request_edges import (
    AsgiInstrumentation,
    DjangoUnderAsgi,
    DjangoUnderWsgi,
    FastapiApplications,
    FlaskApplications,
    StarletteApplications,
    WsgiInstrumentation,
)
from pyroscope_otel.following.sqlalchemy_greenlets import SqlalchemyGreenlets
from pyroscope_otel.following.task_edges import CeleryTasks, RqJobs
from pyroscope_otel.following.trio_steps import TrioSteps
from pyroscope_otel.following.twisted_reactor import TwistedOnAsyncio, TwistedReactor
from pyroscope_otel.following.uvloop_steps import UvloopSteps
from pyroscope_otel.following.worker_threads import AnyioJobs, TrioJobs

if TYPE_CHECKING:
    from pyroscope_otel.following.hook import Hook

HOOKS: tuple[Hook, ...] = (
    ContextSwitches(),
    Renames(),
    AsyncioSteps(),
    UvloopSteps(),
    PoolJobs(),
    AsgirefJobs(),
    AnyioJobs(),
    Greenlets(),
    SqlalchemyGreenlets(),
    TrioSteps(),
    TrioJobs(),
    TwistedReactor(),
    TwistedOnAsyncio(),
    AsgiInstrumentation(),
    FastapiApplications(),
    StarletteApplications(),
    DjangoUnderAsgi(),
    WsgiInstrumentation(),
    FlaskApplications(),
    DjangoUnderWsgi(),
    CeleryTasks(),
    RqJobs(),
)


def install() -> None:
    """Install every hook whose library is imported. Install the others on import."""
    for hook in HOOKS:
        if not hook.active:
            when_imported(hook.module, hook.install)


def remove(*names: str) -> None:
    """Remove hooks until the next `install`, even if their library is imported later.

    Args:
        *names: The hooks' names, such as ``"Greenlets"``. Without names, every hook.

    Raises:
        ValueError: If no hook has one of the names. No hook is removed then.
    """
    hooks = [named(name) for name in names]
    if not hooks:
        forget_waiting()
    for hook in hooks or HOOKS:
        forget_callback(hook.module, hook.install)
        hook.remove()


def named(name: str) -> Hook:
    """Return the hook with this name.

    Raises:
        ValueError: If no hook has the name.
    """
    for hook in HOOKS:
        if hook.name == name:
            return hook
    raise ValueError(f"no hook is called {name!r}: there are {', '.join(h.name for h in HOOKS)}")
