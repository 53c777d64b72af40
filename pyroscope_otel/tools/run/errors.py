"""How the command fails: with an error in plain words."""

from __future__ import annotations

__all__ = ("NoSuchCommand", "RunFailed")


class RunFailed(Exception):  # noqa: N818 -- reads better where it is raised and caught
    """The command cannot be run, or its requests not shown. The message says why.

    Attributes:
        status: The exit status that tells.
    """

    status = 1


class NoSuchCommand(RunFailed):
    """There is no such command. The status is a shell's for it."""

    status = 127
