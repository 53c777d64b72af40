"""Names the service that a command runs."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("service_name",)

_OPTIONS = ("--app", "-A")
# Values of these options contain colons too, such as a plugin (no:cacheprovider) or a warning.
_OTHER_OPTIONS = ("-p", "-W")
# Matches shop.main:app, but not localhost:8000.
_APPLICATION = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*(\(.*\))?")
_PYTHON = re.compile(r"(python|pypy)[0-9.]*(\.exe)?")
# Names that are too common to identify a project.
_GENERAL = frozenset(
    {"app", "asgi", "main", "manage", "project", "run", "serve", "server", "src", "wsgi"}
)


def service_name(words: Sequence[str], folder: str) -> str:
    """Return a name for what a command runs, from its application, script or program.

    Args:
        words: The command and its arguments.
        folder: The working directory. Its name is the last resort.
    """
    name = _application(words) or _script(words) or PurePath(words[0]).name
    if name not in _GENERAL:
        return name
    return PurePath(folder).name or name


def _application(words: Sequence[str]) -> str | None:
    for before, word in pairwise(words):
        option, _, value = word.partition("=")
        named = value if option in _OPTIONS else word if before in _OPTIONS else None
        if named:
            return PurePath(named.partition(":")[0]).name.removesuffix(".py").partition(".")[0]
        found = _APPLICATION.fullmatch(word)
        if found and before not in _OTHER_OPTIONS:
            return found[1].partition(".")[0]
    return None


def _script(words: Sequence[str]) -> str | None:
    if not _PYTHON.fullmatch(PurePath(words[0]).name):
        return None
    for before, word in pairwise(words):
        if before == "-m":
            return word.partition(".")[0]
        if word.endswith(".py"):
            return PurePath(word).stem
    return None
