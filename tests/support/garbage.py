"""Finds objects that code leaves for the garbage collector."""

import contextlib
import gc


@contextlib.contextmanager
def collected_by_hand():
    """Disable the garbage collector, so that only calls of `gc.collect` run it.

    Optimization: hides the suite's other objects from it, which cost 0.1 s for each
    collection, most of the time of these tests.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
