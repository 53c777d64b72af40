"""One request of an application that others trace, and the profile that its samples belong to."""

from __future__ import annotations

from anyio.lowlevel import checkpoint
from starlette.middleware import Middleware

from pyroscope_otel.link.profile import PROFILE_ID_ATTRIBUTE
from tests.following.samples import Samples
from tests.support.asgi_server import START, chunk

EVERYWHERE = {"before", "first line", "endpoint", "streaming", "background", "last line", "after"}


class Case:
    """An application, samples of its requests, and the exported spans."""

    def __init__(self, recorder, provider, exporter, attribution):
        self.recorder = recorder
        self.provider = provider
        self.samples = Samples(recorder)
        self.attribution = attribution
        self._exporter = exporter

    @property
    def known_places(self):
        # Thread labels cannot name a root span that has not started.
        return self.samples.places() - ({"before"} if self.attribution == "thread" else set())

    def put_together(self, assemble, answer=None, **options):
        """Return an ASGI application whose outermost middleware takes samples too."""
        endpoint = Endpoint(self.samples, answer or normal)
        return assemble(endpoint, self.provider, [Middleware(Outermost, self.samples)], **options)

    def profile_ids(self):
        """Return the profile ids of the root spans, in order of their start."""
        spans = self._exporter.get_finished_spans()
        roots = [span for span in spans if PROFILE_ID_ATTRIBUTE in span.attributes]
        roots.sort(key=lambda root: root.start_time)
        return [root.attributes[PROFILE_ID_ATTRIBUTE] for root in roots]

    def check(self):
        """Check that all samples belong to the one root span."""
        (profile_id,) = self.profile_ids()
        assert self.samples.ids(*self.known_places) == {profile_id}
        assert self.samples.ids("before") <= {None, profile_id}


class Outermost:
    """The outermost middleware of an application. It runs in the request's task."""

    def __init__(self, app, samples):
        self.app = app
        self._samples = samples

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        self._samples.take("before")
        await checkpoint()
        self._samples.take("before")
        try:
            await self.app(scope, receive, send)
        finally:
            self._samples.take("after")
            await self._samples.take_everywhere("after")


class Endpoint:
    """User code as an ASGI application, which Starlette and FastAPI accept as an endpoint."""

    def __init__(self, samples, answer):
        self._samples = samples
        self._answer = answer

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return
        self._samples.take("first line")
        await self._samples.take_everywhere("endpoint")
        await self._answer(self._samples, receive, send)
        await self._samples.take_everywhere("last line")


async def stream(samples, send):
    await send(START)
    for _ in range(3):
        await samples.take_everywhere("streaming")
        await send(chunk())


async def normal(samples, receive, send):
    assert (await receive())["type"] == "http.request"
    await stream(samples, send)
    await send(chunk(more=False))
    await samples.take_everywhere("background")
