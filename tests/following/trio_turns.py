"""Tasks of trio that take their steps in a known order."""

from __future__ import annotations

import pytest

trio = pytest.importorskip("trio")


class Turns:
    """Makes tasks take their steps in turn: trio's own order is random."""

    def __init__(self, *names):
        self._names = list(names)
        self._next = trio.Condition()
        self.log = []

    async def take(self, name):
        async with self._next:
            while self._names[0] != name:
                await self._next.wait()
            self._names.append(self._names.pop(0))
            self.log.append(name)
            self._next.notify_all()


async def steps(now, name, turns, turn, count=4):
    """Take a few steps and check that samples in each have this name."""
    for _ in range(count):
        await turns.take(turn)
        assert now() == name
        await trio.lowlevel.checkpoint()
        assert now() == name
