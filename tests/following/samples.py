"""Samples that user code takes of itself, and the ids they have at their upload."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import anyio.to_thread
from anyio.lowlevel import checkpoint


class Samples:
    """Samples of one request's code, by the place where they were taken."""

    def __init__(self, recorder):
        self._recorder = recorder
        self._taken = []

    def take(self, where="here"):
        self._taken.append((where, self._recorder.sample()))

    def take_in_pool(self, where="here"):
        """Take a sample here, and one in a job that this code waits for."""
        self.take(where)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(self.take, where).result()
        self.take(where)

    async def take_everywhere(self, where="here"):
        """Take samples in the running task, its next step, a worker thread and a pool's job."""
        self.take_in_pool(where)
        await checkpoint()
        self.take(where)
        await anyio.to_thread.run_sync(self.take, where)
        self.take(where)

    def places(self):
        """Return where samples were taken."""
        return {where for where, _ in self._taken}

    def ids(self, *places):
        """Return the profile ids of the samples taken at these places, or at all."""
        return {
            upload().get("span_id")
            for where, upload in self._taken
            if where in places or not places
        }
