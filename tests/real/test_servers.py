"""Every server that people deploy: each worker has profiles, and loses none at the end.

The agent would push only after the test is over: whatever arrives was flushed by
the graceful stop, which is what SIGTERM asks for.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from bar import check

from benchmarks.attribution.cases import CASES
from benchmarks.attribution.programs import RUNSERVER, UWSGI

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
    "fastapi-asyncio/async_def",
    "fastapi-uvloop/async_def",
    "uvicorn-workers/async_def",
    "uvicorn-reload/async_def",
    "hypercorn-asyncio/async_def",
    "hypercorn-trio/anyio",
    "uwsgi-prefork/plain",
    "uwsgi-lazy-apps/plain",
    "celery-prefork/prepare",
    "flask-prefork/plain",
    "flask-preload/plain",
    "django-prefork/plain",
    "django-preload/plain",
    "django-uvloop/async_view",
    "django-runserver/plain",
]


@pytest.mark.parametrize("name", SERVERS)
def test_server(name):
    case = CASES[name]
    if case.program is UWSGI and not Path(UWSGI.start[0]).exists():
        pytest.skip("uWSGI is not installed: it has no wheels, and needs a C compiler")
    # Django's reloader leaves its child a quarter of a second after Ctrl-C, and none
    # after SIGTERM: too little to count on.
    interval = 1 if case.program is RUNSERVER else LONGER_THAN_ANY_TEST
    result = check(name, "ours", upload_interval=interval)
    assert len(result.workers) == case.workers
