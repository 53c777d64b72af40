"""How this process attributes samples. The set-up and the hooks decide it, the link reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class _State:
    """How this process attributes samples."""

    __slots__ = (
        *("async_marks", "current_greenlet", "has_async_marks", "has_nested_holds"),
        "labels_only",
    )

    def __init__(self) -> None:
        self.async_marks = False
        """Whether a request's own coroutine keeps the request's mark on its stack.

        That mark is nearer to the leaf than the mark of the step, so a sampler that reads
        stacks frame by frame misses it less often. Only a label can then name a different
        owner, so this is off where the sampler reads no labels.
        """
        self.has_async_marks = False
        """Whether a coroutine has kept its mark in this process."""
        self.has_nested_holds = False
        """Whether a hold has begun inside another one, or inside a local root span."""
        self.labels_only = False
        """Whether nothing reads marks, so that threads carry span labels instead."""
        self.current_greenlet: Callable[[], object] | None = None
        """Returns the current greenlet, if the library greenlet is imported."""


STATE: Final = _State()
