"""Calls functions when modules are imported.

A process below `pyroscope-otel run` may run any program. Nothing that it does not use is
imported: all instrumentations with their libraries would take seconds.
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
    """Call a function once a module has been imported, before its importer continues.

    Args:
        module: The full name of the module. Each module has at most one function.
        call: The function. It must not raise.
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
    """Make a loader call a function after it has run its module."""
    # Patch the instance during this import. Frameworks that find their files through the
    # loader would notice a wrapper.
    run = loader.exec_module

    def run_and_call(module: ModuleType) -> None:
        del loader.exec_module
        run(module)
        call()

    loader.exec_module = run_and_call
