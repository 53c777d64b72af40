"""How the demo fails: with an error in plain words."""

from __future__ import annotations

__all__ = ("DemoFailed",)


class DemoFailed(Exception):  # noqa: N818 -- reads better where it is raised and caught
    """The demo cannot go on. The message says why, and what to do."""
