"""What the hooks have in common: how they are put in and taken out."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

_ABSENT = object()


class Patch:
    """One attribute of a module, class or object, replaced by a wrapper of ours.

    Another tool may have replaced it before, and is called by ours; or after,
    and then ours stays where it is when it is removed, as taking it out would
    take theirs out with it. The hook tells its wrappers to do nothing then.

    Args:
        owner: The module, class or object.
        name: The attribute's name.
        wrap: Makes the wrapper from what is there.
    """

    def __init__(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        self._owner = owner
        self._name = name
        # The owner may only inherit what it is patched over.
        self._own = vars(owner).get(name, _ABSENT)
        self._replacement = wrap(getattr(owner, name))
        setattr(owner, name, self._replacement)

    def remove(self) -> None:
        """Put back what was there, unless another tool has replaced ours."""
        if vars(self._owner).get(self._name) is not self._replacement:
            return
        if self._own is _ABSENT:
            delattr(self._owner, self._name)
        else:
            setattr(self._owner, self._name, self._own)


class Hook(abc.ABC):
    """Follows one kind of switch point."""

    module: ClassVar[str]
    """The module whose import makes the hook possible. It is not imported by us."""

    def __init__(self) -> None:
        self.active = False
        self._patches: list[Patch] = []

    def install(self) -> None:
        """Put the hook in. Does nothing if it is in already.

        Raises:
            Exception: If the library is not what the hook expects. The hook is
                out then, as it was.
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
        """Take the hook out. Does nothing if it is not in."""
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
