"""An answer that says no: which status, and why, in plain words."""

from __future__ import annotations

__all__ = ("Refused",)


class Refused(Exception):  # noqa: N818 -- an answer, not an error of ours
    """The request is answered with this status and reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason

    @property
    def headers(self) -> dict[str, str]:
        """What else the sender should know: when to try again."""
        return {"Retry-After": "1"} if self.status == 503 else {}  # noqa: PLR2004 -- HTTP's
