"""Follows the greenlets in which SQLAlchemy's asyncio extension runs synchronous code.

Such a greenlet has its own stack, without the frames below the switch. So its first function
runs through the mark of the owner that created it.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from pyroscope_otel.following.hook import Hook
from pyroscope_otel.link import failure
from pyroscope_otel.link.attribution import current_owner
from pyroscope_otel.link.through_marks import run_on_new_stack

if TYPE_CHECKING:
    from collections.abc import Callable


class SqlalchemyGreenlets(Hook):
    """Wraps the constructor of SQLAlchemy's greenlets.

    The class has no public name, and its private names differ between SQLAlchemy 2.0 and 2.1.
    """

    # Not the module of the class: looking the class up there imports the library greenlet
    # (2.1). Its switches would then be followed even in programs that never use it.
    module = "sqlalchemy.ext.asyncio"

    def _install(self) -> None:
        kind = _greenlet_class()
        if kind is not None:
            self._patch(kind, "__init__", self._wrap)

    def _wrap(self, original: Callable[..., None]) -> Any:
        hook = self

        def __init__(self: Any, fn: Callable[..., Any], *arguments: Any) -> None:  # noqa: N807
            try:
                owner = current_owner() if hook.active else None
                if owner is not None:
                    fn = partial(run_on_new_stack, owner, fn)
            except Exception:
                failure.report("follow a greenlet of SQLAlchemy")
            original(self, fn, *arguments)

        return __init__


def _greenlet_class() -> Any | None:
    for module, path in (
        ("sqlalchemy.util._concurrency_py3k", ("_AsyncIoGreenlet",)),
        ("sqlalchemy.util.concurrency", ("_concurrency_shim", "_AsyncIoGreenlet")),
    ):
        found: Any = sys.modules.get(module)
        for name in path:
            found = getattr(found, name, None)
        if found is not None:
            return found
    return None
