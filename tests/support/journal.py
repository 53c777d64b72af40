"""Notes that user code takes while it serves a request, and checks of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint
from opentelemetry.sdk.trace import SpanProcessor

from pyroscope_otel.link.profile import PROFILE_ID_ATTRIBUTE
from tests.support.span_profiles import profile_of_span

ROUTE = "/items/{item}"
PATH = "/items/7"


class Starts(SpanProcessor):
    """A processor that keeps the spans that were started."""

    def __init__(self):
        self.spans = []

    def on_start(self, span, parent_context=None):  # noqa: ARG002  the protocol's
        self.spans.append(span)

    def shutdown(self):
        """Release the spans: FastAPI caches endpoints for good, and with them a test's journal."""
        self.spans.clear()


class AppError(Exception):
    """An error of the application."""


class AppExit(BaseException):
    """A worker's timeout or a greenlet's kill: not an `Exception`."""


class Notes:
    """Notes of the id that a sample of the user code would have."""

    def __init__(self, recorder, pool):
        self.ids = []
        self.ids_in_close = []
        self.pool = pool
        self._recorder = recorder

    def note(self):
        self.ids.append(self._recorder.now().get("span_id"))

    def note_in_pool(self):
        """Note the id here, and in a job that this code waits for."""
        self.note()
        self.pool.submit(self.note).result()
        self.note()

    async def note_everywhere(self):
        """Note the id in the running task, its next step, a worker thread and a pool's job."""
        self.note_in_pool()
        await checkpoint()
        self.note()
        await anyio.to_thread.run_sync(self.note)
        self.note()

    def note_in_close(self):
        self.ids_in_close.append(self._recorder.now().get("span_id"))

    def another(self):
        """Return notes for another request."""
        return Notes(self._recorder, self.pool)


class Journal(Notes):
    """The notes of a request, and the spans."""

    def __init__(self, recorder, exporter):
        super().__init__(recorder, ThreadPoolExecutor(1))
        self.starts = Starts()
        self._exporter = exporter

    def roots(self):
        """Return the local root spans that were exported."""
        spans = self._exporter.get_finished_spans()
        return [span for span in spans if PROFILE_ID_ATTRIBUTE in span.attributes]

    def names(self):
        """Return the names of the requests so far, as an upload now would have them."""
        profiles = [profile_of_span(span) for span in self.starts.spans]
        return {dict(profile.span_labels())["span_name"] for profile in profiles if profile}

    def check_nothing_is_left(self):
        """Check that all spans and profiles are closed, and that this thread has no labels."""
        finished = [span.context.span_id for span in self._exporter.get_finished_spans()]
        assert sorted(finished) == sorted(span.context.span_id for span in self.starts.spans)
        for span in self.starts.spans:
            profile = profile_of_span(span)
            assert profile is None or not profile.is_open()
        assert self._recorder.now() == {}

    def check(self):
        """Check that all notes have the id of the one local root span, and return that span."""
        self.check_nothing_is_left()
        (root,) = self.roots()
        assert self.ids, "the application was not called"
        assert set(self.ids) == {root.attributes[PROFILE_ID_ATTRIBUTE]}
        return root


@contextmanager
def raises_just(error):
    """Expect exactly this exception: the same object, with no other chained to it."""
    with pytest.raises(type(error)) as caught:
        yield
    assert caught.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
