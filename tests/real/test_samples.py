"""Attribution, measured with real servers and the real agent.

The deterministic tests check labels and marks; these check that the samples follow.
`benchmarks/attribution` has the applications, and measures.
"""

from __future__ import annotations

import pytest

from benchmarks.attribution.cases import CASES
from benchmarks.attribution.measure import measure
from tests.real.bar import check

WITH_MIDDLEWARE = [
    *(
        f"fastapi-asyncio/{way}"
        for way in (
            "async_def",
            "gather",
            "callbacks",
            "base_http_middleware",
            "async_stream",
            "sync_stream",
            "background",
            "websocket",
            "def",
            "to_thread",
            "run_in_executor",
            "asgi_async_def",
        )
    ),
    *(f"fastapi-uvloop/{way}" for way in ("async_def", "callbacks", "async_stream", "websocket")),
    *(f"gunicorn-gthread/{way}" for way in ("plain", "stream", "thread_pool")),
    *(f"gunicorn-{server}/plain" for server in ("sync", "gevent", "preload")),
    "gunicorn-prefork/stream",
]

BY_HAND = ["fastapi-asyncio/async_def", "fastapi-uvloop/contrib_async_def", "gunicorn-gevent/plain"]


@pytest.mark.parametrize("name", WITH_MIDDLEWARE)
def test_with_the_middleware(name):
    result = check(name, "ours")
    assert result.double == 0


@pytest.mark.parametrize("name", BY_HAND)
def test_set_up_by_hand(name):
    check(name, "hand")


def test_version_1_fails_this_check():
    """On one event loop, which is why this project exists."""
    result = measure(CASES["fastapi-asyncio/async_def"], "old", slice_ms=50, seconds=1.5)
    assert result.samples >= 50
    assert (result.precision or 0) < 0.5
