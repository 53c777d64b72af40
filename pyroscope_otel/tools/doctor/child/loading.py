"""Loads an application as its server would."""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from pyroscope_otel.setup.application_protocol import protocol_of

_MANAGE = re.compile(r"""["']DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']""")


class CannotLoad(Exception):  # noqa: N818  reads better where it is caught
    """The application cannot be found. The message names what was looked for."""


class Loaded(NamedTuple):
    """An application and its interface."""

    app: Any
    is_asgi: bool
    is_django: bool


def load(app: str) -> Loaded:
    """Load an application.

    Args:
        app: ``module:app``, ``module:make_app()``, the directory of a Django
            project's ``manage.py``, or a Django settings module.

    Raises:
        CannotLoad: If there is no such application. Exceptions that the application raises
            on import propagate unchanged.
    """
    if ":" in app:
        sys.path.insert(0, str(Path.cwd()))
        loaded = _attribute(app)
        return Loaded(loaded, protocol_of(loaded) == "asgi", _is_django(loaded))
    return _django(app)


def _attribute(path: str) -> Any:
    module, _, name = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.removesuffix("()").split("."):
        if not hasattr(found, part):
            raise CannotLoad(f"{module} has no {name.removesuffix('()')}")
        found = getattr(found, part)
    return found() if name.endswith("()") else found


def _is_django(app: Any) -> bool:
    return any(kind.__module__.startswith("django.core.handlers") for kind in type(app).__mro__)


def _django(where: str) -> Loaded:
    folder = Path(where)
    if folder.is_dir():
        _use_project(folder)
    else:
        sys.path.insert(0, str(Path.cwd()))
        os.environ["DJANGO_SETTINGS_MODULE"] = where
    from django.conf import settings

    # Prefer WSGI, as runserver does. A project made by startproject has both, and only
    # the server's configuration tells which is used. `module:app` names it explicitly.
    path = getattr(settings, "WSGI_APPLICATION", None)
    is_asgi = not path and bool(getattr(settings, "ASGI_APPLICATION", None))
    path = path or getattr(settings, "ASGI_APPLICATION", None)
    if path:
        module, _, name = path.rpartition(".")
        return Loaded(_attribute(f"{module}:{name}"), is_asgi, is_django=True)
    from django.core.wsgi import get_wsgi_application

    return Loaded(get_wsgi_application(), is_asgi=False, is_django=True)


def _use_project(folder: Path) -> None:
    manage = folder / "manage.py"
    try:
        text = manage.read_text()
    except OSError:
        raise CannotLoad(f"there is no manage.py in {folder}") from None
    sys.path.insert(0, str(folder.resolve()))
    os.chdir(folder)
    found = _MANAGE.search(text)
    if found is not None:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", found[1])
    elif "DJANGO_SETTINGS_MODULE" not in os.environ:
        raise CannotLoad(
            f"{manage} names no settings module, and DJANGO_SETTINGS_MODULE is not set"
        )
