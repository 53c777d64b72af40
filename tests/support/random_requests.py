"""User code that takes random turns inside an adapter's request."""

from __future__ import annotations

import anyio
from opentelemetry import trace

from tests.support.asgi_server import Exchange, http
from tests.support.random_walk import RandomWalk
from tests.support.random_wsgi_walk import RandomWsgiWalk
from tests.support.wsgi_server import Exchange as WsgiExchange

_COUNT = 9


class _InRequest:
    """Keeps what was wrong, because a framework answers an exception with an error page.

    Args:
        provider: Makes the spans.
        journal: Has the spans that were started.
        recorder: Has the labels of a sample.
    """

    def __init__(self, provider, journal, recorder):
        super().__init__(provider.get_tracer("walk"), self._now, seed=0)
        self.requests = 0
        self.wrong = []
        self._journal = journal
        self._recorder = recorder
        self._names = {}

    def begin(self):
        """Return the name of the request that has begun."""
        spans = {span.context.span_id: span for span in self._journal.starts.spans}
        root = trace.get_current_span()
        while root.parent is not None and not root.parent.is_remote:
            root = spans[root.parent.span_id]
        self.requests += 1
        name = f"request {self.requests}"
        self._names[format(root.context.span_id, "016x")] = name
        return name

    async def serve_at_once(self, app):
        """Serve requests of an ASGI application that runs this code, all at the same time."""

        async def serve():
            await app(http(), *Exchange().ends)
            self._check(None)

        async with anyio.create_task_group() as group:
            for _ in range(_COUNT):
                group.start_soon(serve)
        self._check(None)

    def serve_in_turn(self, app):
        """Serve requests of a WSGI application. The client reads some only in part."""
        for number in range(_COUNT):
            WsgiExchange(take=(None, 1, 2)[number % 3]).serve(app)
            self._check(None)

    def check(self):
        assert self.requests == _COUNT
        assert self.wrong == []

    def _now(self):
        labels = self._recorder.now()
        # A request gets its last name only when it ends.
        return self._names.get(labels.get("span_id"), labels.get("span_name"))

    def _check(self, name, _depth=0):
        if self._now() != name:
            self.wrong.append(f"{self._now()} instead of {name}")


class AsyncUserCode(_InRequest, RandomWalk):
    """An async endpoint's code, and its streaming body."""

    async def handle(self):
        """Handle a request, and return its name."""
        name = self.begin()
        await self._walk(name, 1)
        return name

    async def stream(self, name):
        for _ in range(self._random.randint(1, 3)):
            await self._walk(name, 2)
            yield b"chunk"


class UserCode(_InRequest, RandomWsgiWalk):
    """A sync view's code, and its streaming body."""

    def handle(self):
        """Handle a request, and return its name."""
        name = self.begin()
        self._walk(name, 1)
        return name

    def stream(self, name):
        for _ in range(self._random.randint(1, 3)):
            self._walk(name, 2)
            yield b"chunk"
