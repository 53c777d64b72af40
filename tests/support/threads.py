"""Runs functions in threads, and raises their exceptions."""

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
    """Lets one thread control a job in another thread, step by step."""

    def __init__(self):
        self._reached, self._go_on = threading.Semaphore(0), threading.Semaphore(0)

    def stop(self):
        """In the job: wait until the other thread lets it go on."""
        self._reached.release()
        assert self._go_on.acquire(timeout=30)

    def wait(self):
        """Wait until the job has reached its next stop."""
        assert self._reached.acquire(timeout=30)

    def go_on(self):
        self._go_on.release()
