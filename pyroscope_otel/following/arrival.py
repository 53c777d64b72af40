"""Calls back when a module is imported, so that the import order does not matter."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from pyroscope_otel.link import failure

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Sequence


def when_imported(name: str, callback: Callable[[], None]) -> None:
    """Call `callback` once the module is imported, or now if it already is.

    Args:
        name: The module's full name.
        callback: The function to call. Its exceptions are logged.
    """
    if name in sys.modules:
        _call(name, callback)
        return
    _waiting.setdefault(name, []).append(callback)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def forget_waiting() -> None:
    """Cancel all pending callbacks."""
    _waiting.clear()
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


def forget_callback(name: str, callback: Callable[[], None]) -> None:
    """Forget one callback; others that wait for the module stay."""
    if name in _waiting:
        _waiting[name] = [one for one in _waiting[name] if one != callback]


def _call(name: str, callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:
        failure.report(f"hook into {name}")


class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules with pending callbacks, through the other finders."""

    def __init__(self) -> None:
        self._asking: set[str] = set()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  part of the protocol
        target: types.ModuleType | None = None,  # noqa: ARG002  part of the protocol
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _waiting or fullname in self._asking:
            return None
        self._asking.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking.discard(fullname)
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Delegates to the real loader, then runs the callbacks and steps aside."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        # Code that finds a module without importing it may use its loader (`runpy`).
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        # The module must show no trace of us: resources and reloads use these two attributes.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        for callback in _waiting.pop(module.__name__, ()):
            _call(module.__name__, callback)


_waiting: dict[str, list[Callable[[], None]]] = {}
_finder = _Finder()
