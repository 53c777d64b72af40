"""The errors of `pyroscope-otel run`."""

from __future__ import annotations

__all__ = ("NoSuchCommand", "RunFailed")


class RunFailed(Exception):  # noqa: N818 -- reads better where it is raised and caught
    """The command cannot be run, or its requests cannot be shown. The message says why.

    Attributes:
        status: The exit status for it.
    """

    status = 1


class NoSuchCommand(RunFailed):
    """There is no such command. The status is the same as in a shell."""

    status = 127
