"""Marks: functions whose frame on the stack names a profile.

A sample's stack is read as one, and its thread's labels a moment later. So it is the
stack that has to say which request a sample was spent on: code of a request is run
*through* a mark, and the line number of the mark's frame is a number that stands for
the request. What the number stands for is looked up when samples are uploaded.

Where no frame of ours can be below the code, the thread's one label says it: "under
this mark, the code is of that number".
"""

from __future__ import annotations

import builtins
import itertools
import logging
import re
import sys
import time
import types
from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from pyroscope_otel.attribution import Guest
    from pyroscope_otel.profile import Profile

logger = logging.getLogger("pyroscope_otel")

FILENAME: Final = "<pyroscope-otel>"
"""The file name of every mark's frame, and of no other."""

LABEL: Final = "pyroscope_otel"
"""The label on a thread. Its value is two numbers, as in "3-17"."""

NUMBERS: Final = 2**16
"""All numbers are below this, which bounds the memory of marks to some 60 MB: as many
requests and jobs can begin between two uploads. They are lines to whoever looks at a frame,
and coverage, for one, keeps a bit for each line up to the last."""

NO_PROFILE: Final = 1
"""The number of code that belongs to no profile though it runs inside of a request."""

_AT_REST_SECONDS: Final = 1.0
"""How long the agent's samplers may take to look at a sample's frames."""
_FORGOTTEN_SECONDS: Final = 120.0
"""When a number is free without a word from the agent, which pushes nothing if it has
nothing. Its longest upload interval of any use is a minute."""


# On one line, so that the line of whatever runs in its frame is its first.
def _run(call, /, *arguments, __traceback_hide__): return call(*arguments)  # type: ignore[no-untyped-def]  # fmt: skip  # noqa: ANN001, ANN002, ANN202, ARG001


async def _run_async(call, /, *arguments, __traceback_hide__): return await call(*arguments)  # type: ignore[no-untyped-def]  # fmt: skip  # noqa: ANN001, ANN002, ANN202, ARG001


_HIDDEN: Final = {"__traceback_hide__": True}
"""A local of this name has the error pages of Django, Flask and Sentry leave the frame out."""

_GLOBALS: Final = {
    "__name__": "pyroscope_otel",
    "__tracebackhide__": True,
    "__builtins__": builtins,
}
"""The globals of every mark: whoever sees one of their frames sees the package's name, and
pytest leaves it out. CPython 3.13 looks for the builtins where it warns."""


# The names are the same for every mark: the agent keeps each string for good.
_NAMES: Final[dict[str, Any]] = {"co_filename": FILENAME, "co_name": "pyroscope_otel_mark"}
if sys.version_info >= (3, 11):
    _NAMES["co_qualname"] = "pyroscope_otel_mark"
_CODE: Final = _run.__code__.replace(**_NAMES)
_ASYNC_CODE: Final = _run_async.__code__.replace(**_NAMES)


def _function(code: types.CodeType, number: int) -> Callable[..., Any]:
    function = types.FunctionType(code.replace(co_firstlineno=number), _GLOBALS)
    function.__kwdefaults__ = _HIDDEN
    return function


class Mark:
    """A function to run code through, and what its number stands for at the moment.

    There is one for each number, for good: it is used again for another request once
    the samples of the last one are uploaded.
    """

    __slots__ = ("_run_async", "guest", "number", "profile", "run")

    def __init__(self, number: int) -> None:
        self.number = number
        self.run: Callable[..., Any] = _function(_CODE, number)
        """Calls its first argument with the others."""
        self._run_async: Callable[..., Coroutine[Any, Any, Any]] | None = None
        self.profile: Profile | None = None
        """What samples with this number belong to."""
        self.guest: Guest | None = None
        """Whose number it is, where the code may go on after its request."""

    def run_async(self, call: Callable[..., Any], /, *arguments: Any) -> Coroutine[Any, Any, Any]:
        """Call the first argument with the others, and await it."""
        if self._run_async is None:
            self._run_async = _function(_ASYNC_CODE, self.number)
        return self._run_async(call, *arguments)

    def sampled_profile(self) -> Profile | None:
        """Return what samples with this number belong to now, at their upload."""
        if self.guest is not None and not self.guest.is_in_time():
            return None
        return self.profile


class Marks:
    """All marks of this process: taken, at rest until their samples are uploaded, and free.

    Optimization: marks are kept and not made for each request, which costs a quarter.
    What application threads call takes no lock (a deque's ends are atomic), as the garbage
    collector may bring us back here at any point.
    """

    def __init__(self) -> None:
        self.no_profile = Mark(NO_PROFILE)
        self._by_number: dict[int, Mark] = {NO_PROFILE: self.no_profile}
        self._numbers = itertools.count(NO_PROFILE + 1)
        self._free: deque[Mark] = deque()
        self._resting: deque[tuple[float, Mark]] = deque()
        self._in_live_memory: list[Mark] = []
        self._has_warned = False
        self._uploaded_until: dict[str, float] = {}
        self.upload_kinds: Collection[str] = ()
        """The kinds of profiles that the agent uploads through us; none without an agent."""

    def take(self) -> Mark:
        """Return a mark that nobody uses."""
        try:
            return self._free.popleft()
        except IndexError:
            return self._make()

    def give_back(self, mark: Mark) -> None:
        """Let a mark be used again, once the samples that have its number are uploaded."""
        if mark.number == NO_PROFILE:
            return
        mark.guest = None
        if self.upload_kinds:
            self._resting.append((time.time(), mark))
        else:
            mark.profile = None
            self._free.append(mark)

    def profile_of(self, number: int) -> Profile | None:
        """Return what samples with a number belong to at their upload, or None."""
        mark = self._by_number.get(number)
        return None if mark is None else mark.sampled_profile()

    def get(self, number: int) -> Mark | None:
        """Return the mark with a number, or None if there is none."""
        return self._by_number.get(number)

    def uploaded(self, kind: str, until: float, live: Collection[int] = ()) -> None:
        """Let rest no longer what a push had to say the last of.

        Called by one thread alone.

        Args:
            kind: The kind of profile that was pushed, one of `upload_kinds`.
            until: When its last sample was taken, in seconds since the epoch.
            live: The numbers that live memory still has in its stacks.
        """
        self._uploaded_until[kind] = until
        complete = min(self._uploaded_until.get(one, 0.0) for one in self.upload_kinds or (kind,))
        rested = self._rested_before(complete - _AT_REST_SECONDS)
        if kind == "memory":
            rested += self._in_live_memory
            self._in_live_memory = [mark for mark in rested if mark.number in live]
            rested = [mark for mark in rested if mark.number not in live]
        self._set_free(rested)

    def forget_samples(self) -> None:
        """Let rest nothing: the agent has been stopped, or is another process's."""
        self.upload_kinds = ()
        self._uploaded_until.clear()
        self._set_free(self._rested_before(float("inf")))
        self._set_free(self._in_live_memory)
        self._in_live_memory = []

    def reset_in_child(self) -> None:
        """Go on in a forked child, which has no agent yet, and nothing that was sampled."""
        self.upload_kinds = ()
        self._uploaded_until.clear()

    def count(self) -> tuple[int, int]:
        """Return how many numbers there are, and how many of them are free."""
        return len(self._by_number) - 1, len(self._free)

    def _make(self) -> Mark:
        forgotten = self._rested_before(time.time() - _FORGOTTEN_SECONDS)
        if forgotten:
            self._set_free(forgotten)
            return self.take()
        number = next(self._numbers)
        if number >= NUMBERS:
            return self._overflow_mark()
        mark = self._by_number[number] = Mark(number)
        return mark

    def _overflow_mark(self) -> Mark:
        """Return a mark that is nobody's to whoever uploads: missing, not wrong."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "More than %d requests and jobs began between two uploads, so that samples of "
                "some have no labels. A shorter upload_interval helps",
                NUMBERS,
            )
        return Mark(NO_PROFILE)

    def _set_free(self, marks: list[Mark]) -> None:
        for mark in marks:
            mark.profile = None
        self._free.extend(marks)

    def _rested_before(self, moment: float) -> list[Mark]:
        rested: list[Mark] = []
        while self._resting:
            try:
                since, mark = self._resting.popleft()
            except IndexError:
                break  # Another thread was faster.
            if since >= moment:
                self._resting.appendleft((since, mark))
                break
            rested.append(mark)
        return rested


MARKS: Final = Marks()


def nearest_mark() -> Mark | None:
    """Return the mark nearest to the leaf of the running code's own stack, or None."""
    frame: types.FrameType | None = sys._getframe(1)  # noqa: SLF001  documented, in spite of its name
    while frame is not None:
        code = frame.f_code
        if code.co_filename == FILENAME:
            return MARKS.get(code.co_firstlineno)
        frame = frame.f_back
    return None


def label_value(under: Mark | None, wanted: Mark | None) -> str:
    """Return the value of a thread's label: under this mark, the code is of that one."""
    return f"{0 if under is None else under.number}-{0 if wanted is None else wanted.number}"


def number_of_sample(nearest: int, labels: Collection[str]) -> int:
    """Decide which number a sample is of: the rule that all uploads go by.

    Args:
        nearest: The number of the mark nearest to the leaf, 0 if there is none.
        labels: The values of the thread's label. The agent may have read it too late, so
            one that speaks of another mark says nothing. Two that speak of this one
            contradict each other, and the sample is nobody's.

    Returns:
        The number; 0 for none.
    """
    named = {number for under, number in map(_numbers_in, labels) if under == nearest}
    if not named:
        return nearest
    return named.pop() if len(named) == 1 else 0


_TWO_NUMBERS: Final = re.compile(r"([0-9]{1,10})-([0-9]{1,10})")


def _numbers_in(label: str) -> tuple[int, int]:
    found = _TWO_NUMBERS.fullmatch(label)
    return (int(found[1]), int(found[2])) if found else (-1, 0)
