"""The exception for a refused request, with a status and a reason."""

from __future__ import annotations

__all__ = ("Refused",)


class Refused(Exception):  # noqa: N818 -- a response, not an error of ours
    """The request is answered with this status and reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason

    @property
    def headers(self) -> dict[str, str]:
        """The extra headers of the response: when to try again."""
        return {"Retry-After": "1"} if self.status == 503 else {}  # noqa: PLR2004 -- HTTP's
