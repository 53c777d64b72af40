"""Finds out which program the interpreter runs."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("Program", "program_of")

_PYTHON = re.compile("python|pypy", re.IGNORECASE)
_WITH_ARGUMENT = ("-W", "-X", "--check-hash-based-pycs")

_TESTS = frozenset({"py.test", "pytest"})
_HELD_WORKERS = frozenset({"celery", "rq"})
_OTHER_WORKERS = frozenset({"dramatiq", "huey", "huey_consumer", "huey_consumer.py"})

# These serve, or run tests or tasks, so their root spans are requests, tests or tasks.
_NO_SCRIPTS = (
    _TESTS
    | _HELD_WORKERS
    | _OTHER_WORKERS
    | {
        *("daphne", "granian", "gunicorn", "hypercorn", "uvicorn", "uwsgi", "waitress"),
        *("waitress-serve", "fastapi", "flask", "sanic", "streamlit", "twist", "twistd"),
        *("django-admin", "runserver", "runserver_plus", "opentelemetry-instrument"),
        *("ipython", "jupyter", "watchfiles"),
    }
)


class Program(NamedTuple):
    """A program.

    Attributes:
        name: The name of a file, or of a module after `-m`. None for an interactive shell.
        arguments: The arguments of the program.
    """

    name: str | None
    arguments: Sequence[str]

    @property
    def is_pytest(self) -> bool:
        """Whether it runs tests."""
        return self.name in _TESTS

    @property
    def has_spans_by_hand(self) -> bool:
        """Whether its root spans are made current inside a function, so that no hook holds them."""
        return self.is_pytest or self.name in _OTHER_WORKERS

    @property
    def is_script(self) -> bool:
        """Whether it does one job and ends, judging by its name."""
        words = {self.name, *self.arguments[:1]}
        return self.name is not None and words.isdisjoint(_NO_SCRIPTS)


def program_of(command_line: Sequence[str]) -> Program:
    """Return the program of an interpreter with this command line (`sys.orig_argv`)."""
    if command_line and not _PYTHON.search(PurePath(command_line[0]).name):
        return Program(PurePath(command_line[0]).name, command_line[1:])  # it embeds Python
    words = iter(command_line[1:])
    for word in words:
        if word.startswith(("-m", "-c")):
            name = word[2:] or next(words, "")
            if word.startswith("-c"):
                return Program("-c", list(words))
            return Program(name.removesuffix(".__main__"), list(words))
        if word in _WITH_ARGUMENT:
            next(words, None)
        elif word == "-" or not word.startswith("-"):
            return Program(PurePath(word).name if word != "-" else None, list(words))
    return Program(None, [])
