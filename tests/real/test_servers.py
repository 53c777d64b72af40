"""Common servers: each worker has profiles, and uploads the last of them at a graceful stop.

The upload interval is longer than the test, so every push comes from the stop (SIGTERM).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.attribution.cases import CASES
from benchmarks.attribution.programs import UWSGI
from tests.real.bar import check

LONGER_THAN_ANY_TEST = 600

SERVERS = [
    "gunicorn-prefork/plain",
    "gunicorn-preload/plain",
    "gunicorn-gthread-prefork/plain",
    "gunicorn-gthread-preload/plain",
    "gunicorn-gevent-prefork/plain",
    "gunicorn-gevent-preload/plain",
    "gunicorn-uvicorn-prefork/async_def",
    "gunicorn-uvicorn-preload/async_def",
    "gunicorn-asgi-prefork/async_def",
    "fastapi-asyncio/async_def",
    "fastapi-uvloop/async_def",
    "uvicorn-workers/async_def",
    "uvicorn-reload/async_def",
    "hypercorn-asyncio/async_def",
    "hypercorn-trio/anyio",
    "waitress/plain",
    "flask-run/plain",
    "uwsgi-prefork/plain",
    "uwsgi-lazy-apps/plain",
    "celery-prefork/prepare",
    "celery-threads/prepare",
    "flask-prefork/plain",
    "flask-preload/plain",
    "django-prefork/plain",
    "django-preload/plain",
    "django-uvloop/async_view",
    "django-daphne/async_view",
]


@pytest.mark.parametrize("name", SERVERS)
def test_each_worker_uploads_at_the_end(name):
    case = CASES[name]
    if case.program is UWSGI and not Path(UWSGI.start[0]).exists():
        pytest.skip("uWSGI is not installed: it has no wheels, and needs a C compiler")
    result = check(name, "ours", upload_interval=LONGER_THAN_ANY_TEST)
    assert len(result.workers) == case.workers
    # The master has no agent.
    assert result.pushes == case.workers


def test_runserver_with_its_reloader():
    """The reloader may kill its child before the last push, so this does not count on one.

    It gives the child a moment after Ctrl-C, and none after SIGTERM.
    """
    result = check("django-runserver/plain", "ours")
    assert len(result.workers) == 1
