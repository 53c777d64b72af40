"""Every server that people deploy: each worker has profiles, and loses none at the end.

The agent would push only after the test is over: whatever arrives was flushed by
the graceful stop, which is what SIGTERM asks for.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.attribution.cases import CASES
from benchmarks.attribution.programs import UWSGI
from tests.real.bar import check

pytestmark = pytest.mark.timeout(180)

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
def test_server(name):
    case = CASES[name]
    if case.program is UWSGI and not Path(UWSGI.start[0]).exists():
        pytest.skip("uWSGI is not installed: it has no wheels, and needs a C compiler")
    result = check(name, "ours", upload_interval=LONGER_THAN_ANY_TEST)
    assert len(result.workers) == case.workers
    # One for each worker: there is no agent in a master.
    assert result.pushes == case.workers


def test_runserver_with_its_reloader():
    """The reloader leaves its child a moment after Ctrl-C, and none after SIGTERM.

    So this does not count on a last push.
    """
    result = check("django-runserver/plain", "ours")
    assert len(result.workers) == 1
