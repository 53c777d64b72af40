"""Source lines of functions that profiles name, with what was measured on each line.

A profile can be sent by whoever reaches the server, and can name any file. So a
file is read only if it is Python source under a folder that was named when the
server started, for a reader on this machine, and if it is the one that ran: not
changed since.
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

_MOST_BYTES = 2 * 1024 * 1024
_MOST_LINES = 240
_AROUND = 6  # lines shown before the first and after the last that were measured
_MOST_COLUMNS = 300


class CannotShow(Exception):  # noqa: N818 -- an answer, not an error of ours
    """The source is not shown. The message says why, in words."""


class Sources:
    """Reads source files under some folders.

    Args:
        folders: The folders. The first one is where relative names begin.
    """

    def __init__(self, folders: Iterable[str | Path]) -> None:
        # Resolved once: a file's way is compared without its symbolic links.
        self._folders = [Path(folder).resolve() for folder in folders]

    @classmethod
    def of_this_process(cls) -> Sources:
        """Return those under the working directory, and of what is installed in this Python."""
        installed = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]
        return cls([Path.cwd(), *installed, *site.getsitepackages(), site.getusersitepackages()])

    def read(
        self, file: str, *, before_ns: int, last_line: int, by_local: bool
    ) -> tuple[str, list[str]]:
        """Return a file's path and its lines.

        Args:
            file: Its name, as a profile has it.
            before_ns: When it ran, in nanoseconds since the epoch.
            last_line: The last line that it had then, as far as is known.
            by_local: Whether the reader is on this machine.

        Raises:
            CannotShow: It must not or cannot be read, or is not the one that ran.
        """
        if not by_local:
            raise CannotShow("source is shown to readers on the server's own machine only")
        path = self._resolved(file)
        lines = _lines(_content(path, before_ns))
        if last_line > len(lines):
            raise CannotShow("the file has fewer lines than were measured: it is another one")
        return str(path), lines

    def _resolved(self, file: str) -> Path:
        if not file.endswith(".py"):
            raise CannotShow("it is no Python file")
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
        # Not blocking: it may be a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise CannotShow(f"the file cannot be read: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise CannotShow("it is no file")
        if found.st_size > _MOST_BYTES:
            raise CannotShow(f"the file is larger than {_MOST_BYTES} bytes")
        if found.st_mtime_ns > before_ns:
            raise CannotShow("the file has changed since: its lines may be others now")
        return os.read(descriptor, _MOST_BYTES)
    finally:
        os.close(descriptor)


def _lines(content: bytes) -> list[str]:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    except SyntaxError:
        encoding = "utf-8"
    # Lines as Python counts them: a form feed ends none.
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
    """Return what was measured on each line of a function; empty if it is on no stack.

    A line counts once for a stack, however often the function has called itself.
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
    """Return the lines from a little before the first measured to a little after the last.

    Args:
        measured: What was measured, by line.
        text: The file's lines.
        hottest: The line to keep where that is too much.
    """
    first = max(1, min(measured) - _AROUND, hottest - _MOST_LINES // 2)
    last = min(len(text), max(measured) + _AROUND, first + _MOST_LINES - 1)
    return [
        {
            "number": number,
            "text": shortened(text[number - 1], _MOST_COLUMNS),
            **measured.get(number, {}),
        }
        for number in range(first, last + 1)
    ]
