"""The truth about Django: real servers, the real agent, and what it pushed.

As `test_samples`, for what differs in Django: the instrumentation ends its span
before a body streams, and starts it on another thread than async views run on.
"""

from __future__ import annotations

import pytest

from tests.real.bar import check

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize(
    "name",
    [
        "django-gthread/stream",
        "django-gthread/async_view",
        "django-asyncio/sync_to_async",
        "django-asyncio/async_stream",
    ],
)
def test_with_the_app(name):
    result = check(name, "ours")
    assert result.double == 0
