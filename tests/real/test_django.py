"""Attribution in Django, measured with real servers and the real agent.

Like `test_samples`, for what differs in Django: the instrumentation ends its span before
the body streams, and starts it on another thread than the one that runs async views.
"""

from __future__ import annotations

import pytest

from tests.real.bar import check


@pytest.mark.parametrize(
    "name",
    [
        "django-gthread/stream",
        "django-gthread/async_view",
        "django-asyncio/sync_to_async",
        "django-asyncio/async_stream",
    ],
)
def test_django_app(name):
    result = check(name, "ours")
    assert result.double == 0
