"""Do something when a module has been imported, and nothing if it never is.

A process below `pyroscope-otel run` may be anything. What it does not use is not
imported on its behalf: all instrumentations with their libraries take seconds.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ("when_imported",)

_waiting: dict[str, Callable[[], object]] = {}


def when_imported(module: str, call: Callable[[], object]) -> None:
    """Call something once a module has been imported, before its importer goes on.

    Args:
        module: The module's full name. One call for each.
        call: It must not raise.
    """
    if module in sys.modules:
        call()
        return
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    _waiting[module] = call


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        call = _waiting.pop(fullname, None)
        if call is None:
            return None
        spec = importlib.util.find_spec(fullname)
        if spec is not None and isinstance(spec.loader, Loader):
            _call_after(spec.loader, call)
        return spec


def _call_after(loader: Any, call: Callable[[], object]) -> None:
    """Have a loader call something when it has run its module."""
    # On the instance, for the time of this import: a wrapped loader would show, to
    # frameworks that look for their files by it.
    run = loader.exec_module

    def run_and_call(module: ModuleType) -> None:
        del loader.exec_module
        run(module)
        call()

    loader.exec_module = run_and_call
