"""What random walks through user code share."""

from __future__ import annotations

import contextlib
import itertools
import random

from opentelemetry import context as otel_context

DEPTH = 4


class Walk:
    """Takes random turns. Each step is given the name of the root span it belongs to, or None.

    Args:
        tracer: Makes the spans.
        now: Returns the name of the root span that a sample taken now would belong to.
        seed: The seed of the random numbers.
    """

    def __init__(self, tracer, now, seed):
        self._tracer = tracer
        self._now = now
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311  repeatable turns
        self._numbers = itertools.count()

    def _new_name(self):
        return f"root {next(self._numbers)}"

    @contextlib.contextmanager
    def _new_root(self):
        name = self._new_name()
        with self._tracer.start_as_current_span(name, otel_context.Context()):
            yield name

    def _check(self, name, _depth=0):
        assert self._now() == name, f"seed {self._seed}"
