"""Applies each installed OpenTelemetry instrumentation when its library is imported."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from pyroscope_otel.link import failure
from pyroscope_otel.tools.run.inside.imports import when_imported
from pyroscope_otel.tools.run.inside.notes import note, say

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import EntryPoint

__all__ = ("MISSING", "load")

_GROUP = "opentelemetry_instrumentor"
_OURS = "pyroscope_otel"
_EXPORTER = "opentelemetry.exporter.otlp.proto.http"
MISSING = "missing-"
"""The prefix of the note that an instrumentation is missing. Its name follows."""

# These make the root spans. Without one of them, nothing is shown.
_FRAMEWORKS = {
    "aiohttp-server": "aiohttp.web",
    "celery": "celery",
    "django": "django.core.handlers.base",
    "falcon": "falcon",
    "fastapi": "fastapi",
    "flask": "flask",
    "pyramid": "pyramid.config",
    "starlette": "starlette.applications",
    "tornado": "tornado.web",
}
_CLIENTS = {
    "aiohttp-client": "aiohttp.client",
    "asyncpg": "asyncpg",
    "httpx": "httpx",
    "mysqlclient": "MySQLdb",
    "psycopg": "psycopg",
    "psycopg2": "psycopg2",
    "pymongo": "pymongo",
    "pymysql": "pymysql",
    "redis": "redis",
    "requests": "requests",
    "sqlalchemy": "sqlalchemy",
}
_MODULES = {**_FRAMEWORKS, **_CLIENTS}
"""The module whose import shows that a library is in use, by the entry point name of its
instrumentation. Instrumentations that are not listed are loaded at once."""


def load() -> None:
    """Apply the installed instrumentations, like `opentelemetry-instrument`, but on demand.

    `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` is respected. An instrumentation that does not
    support the installed release of its library is skipped. A library in use without its
    instrumentation is noted.
    """
    disabled = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")
    disabled = [name.strip() for name in disabled]
    if "*" in disabled:
        return
    installed = {
        entry.name: _Instrumentation(entry).apply
        for entry in entry_points(group=_GROUP)
        if entry.name != _OURS and entry.name not in disabled
    }
    for name, module in _MODULES.items():
        if name in installed:
            when_imported(module, _occasion(name, installed))
        elif name not in disabled:
            when_imported(module, functools.partial(_note_missing, name))
    for name in installed.keys() - _MODULES.keys():
        installed[name]()


class _Instrumentation:
    """An installed instrumentation, applied at most once.

    Args:
        entry: The entry point.
    """

    def __init__(self, entry: EntryPoint) -> None:
        self._entry = entry
        self._is_applied = False

    def apply(self) -> None:
        """Apply it, unless it has been applied."""
        if self._is_applied:
            return
        self._is_applied = True
        try:
            self._apply()
        except ModuleNotFoundError:
            pass  # The library that it instruments is not installed.
        except Exception:
            failure.report(f"apply OpenTelemetry's instrumentation {self._entry.name}")

    def _apply(self) -> None:
        from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts

        conflict = get_dist_dependency_conflicts(self._entry.dist) if self._entry.dist else None
        if conflict is not None:
            if conflict.found or conflict.found_any:
                say(str(conflict))
            return
        instrumentor = self._entry.load()()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument(skip_dep_check=True)


def _occasion(name: str, installed: dict[str, Callable[[], None]]) -> Callable[[], None]:
    """Return what to do when the library of an installed instrumentation is imported."""
    apply = installed[name]
    if name == "django":
        return functools.partial(_before_middleware_is_loaded, apply)
    starlette = installed.get("starlette")
    if starlette is None or "fastapi" not in installed:
        return apply
    # FastAPI's application class is a subclass of Starlette's. It must be defined before
    # Starlette's class is replaced, or its requests are traced twice.
    if name == "fastapi":
        return functools.partial(_apply_both, apply, starlette)
    return functools.partial(_after_fastapi, apply) if name == "starlette" else apply


def _apply_both(first: Callable[[], None], second: Callable[[], None]) -> None:
    first()
    second()


def _after_fastapi(apply: Callable[[], None]) -> None:
    """Apply Starlette's instrumentation, after FastAPI's if that is installed."""
    if "fastapi" in sys.modules:
        return  # FastAPI is being imported, and imports Starlette.
    try:
        importlib.import_module("fastapi")
    except ImportError:
        apply()


def _before_middleware_is_loaded(instrument: Callable[[], None]) -> None:
    # By then Django's settings are configured. Earlier, the instrumentation would configure
    # them itself.
    from django.core.handlers.base import BaseHandler

    load_middleware = BaseHandler.load_middleware

    @functools.wraps(load_middleware)
    def instrument_and_load(*arguments: Any, **named: Any) -> Any:
        instrument()
        return load_middleware(*arguments, **named)

    BaseHandler.load_middleware = instrument_and_load  # type: ignore[method-assign]


def _note_missing(name: str) -> None:
    """Note that a library is in use but its instrumentation is not installed."""
    if name == "starlette" and "fastapi" in sys.modules:
        return
    if name == "requests" and _EXPORTER in sys.modules:
        return  # The exporter uses it, not the application.
    if name == "fastapi" and importlib.util.find_spec("fastapi.telemetry") is not None:
        return  # FastAPI makes the root spans itself.
    if note(f"{MISSING}{name}") and name in _FRAMEWORKS:
        say(
            f"{name} is in use, but its requests get no root spans. Needed: "
            f"{sys.executable} -m pip install opentelemetry-instrumentation-{name}"
        )
