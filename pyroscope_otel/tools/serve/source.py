"""Reads the source lines of profiled functions, with the values of each line.

Anyone who reaches the server can send a profile that names any file. So a file is read only
if it is Python source below a folder that was set when the server started, only for a reader
on this machine, and only if it has not changed since it ran.
"""

from __future__ import annotations

import io
import ipaddress
import os
import site
import stat
import sysconfig
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyroscope_otel.tools.serve.text import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from pyroscope_otel.tools.serve.flame import Frames
    from pyroscope_otel.tools.serve.measures import Measure

__all__ = ("CannotShow", "Sources", "is_local", "measured_lines", "shown_lines")

_MAX_BYTES = 2 * 1024 * 1024
_MAX_LINES = 240
_AROUND = 6  # lines shown before the first and after the last measured line
_MAX_COLUMNS = 300


class CannotShow(Exception):  # noqa: N818 -- a response, not an error of ours
    """The source cannot be shown. The message gives the reason."""


class Sources:
    """Reads source files below some folders.

    Args:
        folders: The folders. Relative names are resolved against the first one.
    """

    def __init__(self, folders: Iterable[str | Path]) -> None:
        # Resolved once, as paths are compared without symbolic links.
        self._folders = [Path(folder).resolve() for folder in folders]

    @classmethod
    def of_this_process(cls) -> Sources:
        """Return the sources in the working directory and in this Python's installed packages."""
        installed = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]
        return cls([Path.cwd(), *installed, *site.getsitepackages(), site.getusersitepackages()])

    def read(
        self, file: str, *, before_ns: int, last_line: int, by_local: bool
    ) -> tuple[str, list[str]]:
        """Return the path and the lines of a file.

        Args:
            file: The file name in a profile.
            before_ns: The time when it ran, in nanoseconds since the epoch.
            last_line: The highest measured line, which the file must have.
            by_local: Whether the reader is on this machine.

        Raises:
            CannotShow: The file must not or cannot be read, or is not the one that ran.
        """
        if not by_local:
            raise CannotShow("source is shown to readers on the server's own machine only")
        path = self._resolved(file)
        lines = _lines(_content(path, before_ns))
        if last_line > len(lines):
            raise CannotShow("the file has fewer lines than were measured: it is another file")
        return str(path), lines

    def _resolved(self, file: str) -> Path:
        if not file.endswith(".py"):
            raise CannotShow("it is not a Python file")
        try:
            path = (self._folders[0] / file).resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            raise CannotShow("there is no such file on this machine") from None
        if path.suffix != ".py" or not any(map(path.is_relative_to, self._folders)):
            raise CannotShow(
                "only files under the server's working directory and installed packages are shown"
            )
        return path


def _content(path: Path, before_ns: int) -> bytes:
    try:
        # Non-blocking, as it may be a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise CannotShow(f"the file cannot be read: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise CannotShow("it is not a regular file")
        if found.st_size > _MAX_BYTES:
            raise CannotShow(f"the file is larger than {_MAX_BYTES} bytes")
        if found.st_mtime_ns > before_ns:
            raise CannotShow("the file has changed since it ran")
        return os.read(descriptor, _MAX_BYTES)
    finally:
        os.close(descriptor)


def _lines(content: bytes) -> list[str]:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    except SyntaxError:
        encoding = "utf-8"
    # Count lines as Python does: a form feed does not end a line.
    text = io.TextIOWrapper(io.BytesIO(content), encoding, errors="replace")
    return [line.rstrip("\n") for line in text]


def is_local(request: Request) -> bool:
    """Return whether the reader is on this machine, as far as the server can tell."""
    forwarded = {"forwarded", "x-forwarded-for", "x-real-ip", "via"} & set(request.headers)
    if forwarded or request.client is None:
        return False
    return ipaddress.ip_address(request.client.host).is_loopback


def measured_lines(
    stacks: list[tuple[Frames, int, int]], function: tuple[str, str], measure: Measure
) -> dict[int, dict[str, int]]:
    """Return the values of each line of a function, or nothing if it is on no stack.

    In a stack with recursion, a line counts once.
    """
    found: dict[int, dict[str, int]] = {}
    for frames, value, _ in stacks:
        lines = {line for name, file, line in frames if (name, file) == function}
        for line in lines:
            numbers = found.setdefault(
                line, {f"self_{measure.suffix}": 0, f"total_{measure.suffix}": 0}
            )
            numbers[f"total_{measure.suffix}"] += value
        if lines and frames[-1][:2] == function:
            found[frames[-1][2]][f"self_{measure.suffix}"] += value
    return found


def shown_lines(
    measured: dict[int, dict[str, int]], text: list[str], hottest: int
) -> list[dict[str, Any]]:
    """Return the lines from a little before the first measured line to a little after the last.

    Args:
        measured: The values by line.
        text: The lines of the file.
        hottest: The line to keep if there are too many.
    """
    first = max(1, min(measured) - _AROUND, hottest - _MAX_LINES // 2)
    last = min(len(text), max(measured) + _AROUND, first + _MAX_LINES - 1)
    return [
        {
            "number": number,
            "text": shortened(text[number - 1], _MAX_COLUMNS),
            **measured.get(number, {}),
        }
        for number in range(first, last + 1)
    ]
