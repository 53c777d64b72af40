"""Flask applications with the extension, under real servers.

Forked workers, and what a graceful stop flushes, are in `test_servers`.
"""

from __future__ import annotations

import pytest

from tests.real.bar import check

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize(
    "name",
    [
        "flask-gthread/stream",
        "flask-gthread/thread_pool",
        "flask-gthread/async_view",
        "flask-gevent/stream",
    ],
)
def test_flask(name):
    assert check(name, "ours").double == 0
