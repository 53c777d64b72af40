"""Run functions in threads, and hear of it where they fail."""

from __future__ import annotations

import threading


def in_threads(*functions):
    """Run each function in a new thread; wait for all; raise what the first raised."""
    failures = []

    def attempt(function):
        try:
            function()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=attempt, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class Steps:
    """Lets one thread, a job's, go on step by step, as another one says."""

    def __init__(self):
        self._reached, self._go_on = threading.Semaphore(0), threading.Semaphore(0)

    def stop(self):
        """In the job: wait until the other says to go on."""
        self._reached.release()
        assert self._go_on.acquire(timeout=30)

    def wait(self):
        """Wait until the job has come to its next stop."""
        assert self._reached.acquire(timeout=30)

    def go_on(self):
        self._go_on.release()
