"""The base of all hooks: how they are installed and removed."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

_ABSENT = object()


class Patch:
    """One attribute of a module, class or object, replaced by our wrapper.

    If another tool has wrapped the attribute before, our wrapper calls that one. If another
    tool wraps it later, our wrapper stays in place on removal, because taking it out would take
    out theirs too. The hook then tells its wrappers to do nothing.

    Args:
        owner: The module, class or object.
        name: The attribute's name.
        wrap: Returns the wrapper for the current value.
    """

    def __init__(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        self._owner = owner
        self._name = name
        # The owner may only inherit the attribute.
        self._own = vars(owner).get(name, _ABSENT)
        self._replacement = wrap(getattr(owner, name))
        setattr(owner, name, self._replacement)

    def remove(self) -> None:
        """Restore the original, unless another tool has replaced our wrapper."""
        if vars(self._owner).get(self._name) is not self._replacement:
            return
        if self._own is _ABSENT:
            delattr(self._owner, self._name)
        else:
            setattr(self._owner, self._name, self._own)


class Hook(abc.ABC):
    """Follows one kind of switch point."""

    module: ClassVar[str]
    """The module that the hook waits for. The hook never imports it first."""

    def __init__(self) -> None:
        self.active = False
        self._patches: list[Patch] = []

    @property
    def name(self) -> str:
        """The name that `following.remove` takes: that of the class."""
        return type(self).__name__

    def install(self) -> None:
        """Install the hook. Does nothing if it is already installed.

        Raises:
            Exception: If the library is not as the hook expects. Nothing stays installed then.
        """
        if self.active:
            return
        try:
            self._install()
        except BaseException:
            self._unpatch()
            raise
        self.active = True

    def remove(self) -> None:
        """Remove the hook. Does nothing if it is not installed."""
        if self.active:
            self.active = False
            self._remove()

    @abc.abstractmethod
    def _install(self) -> None: ...

    def _remove(self) -> None:
        self._unpatch()

    def _unpatch(self) -> None:
        while self._patches:
            self._patches.pop().remove()

    def _patch(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        self._patches.append(Patch(owner, name, wrap))
