"""Marks: functions whose stack frame names a profile.

A sampler reads a sample's stack in one go, and the thread's labels a moment later. So the stack
must identify the request. Request code runs *through* a mark, and the line number of the mark's
frame is a number that stands for the request. The number is resolved when samples are uploaded.

Where no mark can be below the code, the thread carries one label instead: "under this mark, the
code belongs to that number".
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

    from pyroscope_otel.link.attribution import Guest
    from pyroscope_otel.link.profile import Profile

logger = logging.getLogger("pyroscope_otel")

FILENAME: Final = "<pyroscope-otel>"
"""The file name of every mark's frame. No other frame has it."""

LABEL: Final = "pyroscope_otel"
"""The name of our thread label. Its value is two numbers, such as "3-17"."""

NUMBERS: Final = 2**16
"""The upper bound of all numbers, exclusive.

It limits how many requests and jobs can begin between two uploads, and keeps the memory of
marks below about 60 MB. Numbers appear as line numbers, and some tools pay for large ones:
coverage keeps one bit for each line up to the last.
"""

NO_PROFILE: Final = 1
"""The number of code that runs inside a request but belongs to no profile."""

_AT_REST_SECONDS: Final = 1.0
"""How long after a sample the agent's samplers may still read its frames."""
_FORGOTTEN_SECONDS: Final = 120.0
"""When a number becomes free without any push from the agent.

The agent pushes nothing if it has no samples. Its longest useful upload interval is a minute.
"""


# Each is on one line: the frame's current line is then the function's first line.
def _run(call, /, *arguments, __traceback_hide__): return call(*arguments)  # type: ignore[no-untyped-def]  # fmt: skip  # noqa: ANN001, ANN002, ANN202, ARG001


async def _run_async(call, /, *arguments, __traceback_hide__): return await call(*arguments)  # type: ignore[no-untyped-def]  # fmt: skip  # noqa: ANN001, ANN002, ANN202, ARG001


_HIDDEN: Final = {"__traceback_hide__": True}
"""The error pages of Django, Flask and Sentry hide frames that have this local variable."""

_GLOBALS: Final = {
    "__name__": "pyroscope_otel",
    "__tracebackhide__": True,
    "__builtins__": builtins,
}
"""The globals of every mark.

Tools show a mark's frame under this package's name, and pytest hides it. CPython 3.13 looks up
the builtins here when it issues a warning.
"""


# All marks share these names, because the agent never frees an interned string.
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
    """A function to run code through, and what its number currently stands for.

    Each number has one mark, which lives forever. Another request reuses it once the samples of
    the previous one are uploaded.
    """

    __slots__ = ("_run_async", "guest", "number", "profile", "rests_since", "run")

    def __init__(self, number: int) -> None:
        self.number = number
        self.run: Callable[..., Any] = _function(_CODE, number)
        """Calls its first argument with the other arguments."""
        self._run_async: Callable[..., Coroutine[Any, Any, Any]] | None = None
        self.profile: Profile | None = None
        """The profile that samples with this number belong to."""
        self.guest: Guest | None = None
        """The guest that uses this number, for code that may outlive its request."""
        self.rests_since = 0.0
        """When the last code ran through it, in seconds since the epoch."""

    def run_async(self, call: Callable[..., Any], /, *arguments: Any) -> Coroutine[Any, Any, Any]:
        """Call the first argument with the other arguments, and await the result."""
        if self._run_async is None:
            self._run_async = _function(_ASYNC_CODE, self.number)
        return self._run_async(call, *arguments)

    def sampled_profile(self) -> Profile | None:
        """Return the profile that samples with this number belong to, as of now (at upload)."""
        if self.guest is not None and not self.guest.is_in_time():
            return None
        return self.profile


class Marks:
    """All marks of this process: in use, resting until their samples are uploaded, or free.

    Optimization: reusing marks saves a quarter of the cost of making one per request. The
    methods that application threads call take no lock (a deque's ends are atomic), because the
    garbage collector can re-enter them at any point.
    """

    def __init__(self) -> None:
        self.no_profile = Mark(NO_PROFILE)
        self._by_number: dict[int, Mark] = {NO_PROFILE: self.no_profile}
        self._numbers = itertools.count(NO_PROFILE + 1)
        self._free: deque[Mark] = deque()
        self._resting: deque[Mark] = deque()
        self._in_live_memory: list[Mark] = []
        self._has_warned = False
        self._uploaded_until: dict[str, float] = {}
        self.upload_kinds: Collection[str] = ()
        """The kinds of profiles that the agent uploads through the relay. Empty without an
        agent."""

    def take(self) -> Mark:
        """Return an unused mark."""
        try:
            # The one that was freed last: after a peak, the numbers in use stay few, and near.
            return self._free.pop()
        except IndexError:
            return self._make()

    def give_back(self, mark: Mark) -> None:
        """Release a mark. It is reused once the samples with its number are uploaded."""
        if mark.number == NO_PROFILE:
            return
        mark.guest = None
        if self.upload_kinds:
            mark.rests_since = time.time()
            self._resting.append(mark)
        else:
            mark.profile = None
            self._free.append(mark)

    def profile_of(self, number: int) -> Profile | None:
        """Return the profile that samples with this number belong to at upload, or None."""
        mark = self._by_number.get(number)
        return None if mark is None else mark.sampled_profile()

    def get(self, number: int) -> Mark | None:
        """Return the mark with this number, or None if there is none."""
        return self._by_number.get(number)

    def uploaded(self, kind: str, until: float, live: Collection[int] = ()) -> None:
        """Free the marks whose last samples have been pushed.

        Only one thread may call this.

        Args:
            kind: The kind of profile that was pushed, one of `upload_kinds`.
            until: When its last sample was taken, in seconds since the epoch.
            live: The numbers that still occur in the stacks of live memory.
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
        """Free all resting marks: the agent has stopped, or belongs to another process."""
        self.upload_kinds = ()
        self._uploaded_until.clear()
        self._set_free(self._rested_before(float("inf")))
        self._set_free(self._in_live_memory)
        self._in_live_memory = []

    def reset_in_child(self) -> None:
        """Reset in a forked child, which has no agent and no samples yet."""
        self.upload_kinds = ()
        self._uploaded_until.clear()

    def count(self) -> tuple[int, int]:
        """Return how many numbers exist, and how many of them are free."""
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
        """Return a mark with no profile. Its samples are missing, but not wrong."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "More than %d requests and jobs began between two uploads, so samples of "
                "some have no labels. Shorten upload_interval",
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
                mark = self._resting.popleft()
            except IndexError:
                break  # Another thread was faster.
            if mark.rests_since >= moment:
                self._resting.appendleft(mark)
                break
            rested.append(mark)
        return rested


MARKS: Final = Marks()


def nearest_mark() -> Mark | None:
    """Return the mark nearest to the leaf of the calling code's stack, or None."""
    frame: types.FrameType | None = sys._getframe(1)  # noqa: SLF001  documented, despite its name
    while frame is not None:
        code = frame.f_code
        if code.co_filename == FILENAME:
            return MARKS.get(code.co_firstlineno)
        frame = frame.f_back
    return None


def label_value(under: Mark | None, wanted: Mark | None) -> str:
    """Return a thread label's value: under mark `under`, the code belongs to mark `wanted`."""
    return f"{0 if under is None else under.number}-{0 if wanted is None else wanted.number}"


def number_of_sample(nearest: int, labels: Collection[str]) -> int:
    """Return the number that a sample belongs to. All uploads follow this rule.

    Args:
        nearest: The number of the mark nearest to the leaf, 0 if there is none.
        labels: The values of the thread's label. The agent may have read the label too late, so
            a value that names another mark is ignored. Two values that name this mark
            contradict each other, and the sample belongs to no profile.

    Returns:
        The number, 0 for no profile.
    """
    named = {number for under, number in map(_numbers_in, labels) if under == nearest}
    if not named:
        return nearest
    return named.pop() if len(named) == 1 else 0


_TWO_NUMBERS: Final = re.compile(r"([0-9]{1,10})-([0-9]{1,10})")


def _numbers_in(label: str) -> tuple[int, int]:
    found = _TWO_NUMBERS.fullmatch(label)
    return (int(found[1]), int(found[2])) if found else (-1, 0)
