"""The demo's error."""

from __future__ import annotations

__all__ = ("DemoFailed",)


class DemoFailed(Exception):  # noqa: N818 -- reads better where it is raised and caught
    """The demo cannot continue. The message gives the reason and the remedy."""
