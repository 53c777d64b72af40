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
