"""Flask applications with the extension, under real servers.

`test_servers` has the forked workers, and the last upload at a graceful stop.
"""

from __future__ import annotations

import pytest

from tests.real.bar import check


@pytest.mark.parametrize(
    "name",
    [
        "flask-gthread/stream",
        "flask-gthread/thread_pool",
        "flask-gthread/async_view",
        "flask-gevent/stream",
    ],
)
def test_flask_extension(name):
    assert check(name, "ours").double == 0
