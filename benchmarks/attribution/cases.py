"""The cases: applications, their servers, and the requests to them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from benchmarks.attribution.programs import (
    CELERY,
    DAPHNE,
    FLASK_RUN,
    GUNICORN,
    HYPERCORN,
    RUNSERVER,
    UVICORN,
    UWSGI,
    WAITRESS,
    Program,
)

_ASGI = "benchmarks.attribution.apps_asgi"
_WSGI = "benchmarks.attribution.apps_wsgi"
_CELERY = "benchmarks.attribution.apps_celery"
_FLASK = "benchmarks.attribution.apps_flask:app"
_DJANGO_SETTINGS = "benchmarks.attribution.django_shop.settings"
_DJANGO_WSGI = "benchmarks.attribution.django_shop.wsgi"
_DJANGO_ASGI = "benchmarks.attribution.django_shop.asgi:application"
_GTHREAD = ("--worker-class", "gthread", "--threads", "4")
_GEVENT = ("--worker-class", "gevent")
_START = {"prefork": ("--workers", "2"), "preload": ("--workers", "2", "--preload")}
_POST_FORK = (
    "--config",
    "python:benchmarks.attribution.set_up",
    "--env",
    "ATTRIBUTION_POST_FORK=1",
)


@dataclass(frozen=True)
class Case:
    """One way for an application to spend its time.

    Attributes:
        name: `server/way`.
        program: The server program.
        options: The options of the program, and the application.
        path: The path that clients request, to which the request's number is appended, or the
            name of a task.
        clients: The number of concurrent clients.
        workers: The number of server processes.
        zero_code: The contrib instrumentation that traces the application without code. None
            if there is none, or if the case needs set-up in code.
        requires: Packages in other versions than the environment's, without their dependencies.
        measures: What samples measure: CPU time, or allocated memory.
    """

    name: str
    program: Program
    options: tuple[str, ...]
    path: str
    clients: int
    workers: int = 1
    zero_code: str | None = None
    requires: tuple[str, ...] = ()
    measures: Literal["cpu", "alloc_space"] = "cpu"

    @property
    def is_websocket(self) -> bool:
        return self.path.startswith("/websocket")

    @property
    def is_queue(self) -> bool:
        return self.program is CELERY


def _fastapi(
    loop: str, way: str, *, path: str | None = None, app: str = f"{_ASGI}:shop", **attributes: Any
) -> Case:
    options = ("--loop", loop, "--factory", app)
    attributes = {"zero_code": "fastapi"} | attributes
    return Case(f"fastapi-{loop}/{way}", UVICORN, options, f"/{path or way}", 6, **attributes)


def _asgi(
    name: str, program: Program, *options: str, way: str = "async_def", **attributes: Any
) -> Case:
    attributes = {"zero_code": "fastapi"} | attributes
    return Case(f"{name}/{way}", program, options, f"/{way}", clients=6, **attributes)


def _wsgi(
    name: str, program: Program, *options: str, way: str = "plain", **attributes: Any
) -> Case:
    return Case(f"{name}/{way}", program, options, f"/{way}", clients=4, **attributes)


def _gunicorn(name: str, way: str, *options: str, workers: int = 1) -> Case:
    options = ("--workers", f"{workers}", *options, f"{_WSGI}:app")
    return _wsgi(f"gunicorn-{name}", GUNICORN, *options, way=way, workers=workers)


def _cases() -> list[Case]:
    cases = []
    for loop in ("asyncio", "uvloop"):
        ways = ["async_def", "gather", "task_group", "callbacks", "async_stream", "sync_stream"]
        ways += ["background", "background_def", "fire_and_forget", "websocket"]
        ways += ["def", "to_thread", "run_in_executor"]
        if sys.version_info < (3, 11):
            ways.remove("task_group")
        cases += [_fastapi(loop, way) for way in ways]
        cases += [
            _fastapi(loop, "base_http_middleware", app=f"{_ASGI}:shop_behind_base_http_middleware"),
            _fastapi(
                *(loop, "untraced_task"), path="async_def", app=f"{_ASGI}:shop_with_untraced_task"
            ),
            _fastapi(
                *(loop, "contrib_async_def"),
                path="async_def",
                app=f"{_ASGI}:shop_traced_by_contrib",
            ),
        ]
        contrib_asgi = {"app": f"{_ASGI}:shop_traced_by_contrib_asgi", "zero_code": None}
        cases += [
            _fastapi(loop, f"asgi_{way}", path=way, **contrib_asgi)
            for way in ("async_def", "async_stream", "background")
        ]
        cases += _further_fastapi(loop)
    for way in ("plain", "stream", "thread_pool"):
        cases += [
            _gunicorn("sync", way),
            _gunicorn("gthread", way, *_GTHREAD),
            _gunicorn("gevent", way, *_GEVENT),
            _gunicorn("prefork", way, workers=2),
            _gunicorn("preload", way, "--preload", workers=2),
        ]
    cases.append(
        _gunicorn("preload-post_fork", "plain", "--preload", *_POST_FORK, workers=2),
    )
    return cases + _servers() + _flask() + _django()


def _further_fastapi(loop: str) -> list[Case]:
    """Return the cases with their own applications."""
    ways = [("deep", f"deep_{frames}") for frames in (12, 80, 200)]
    ways += [("outliving", "thread_outlives"), ("outliving", "job_outlives")]
    cases = [
        _fastapi(loop, way, app=f"benchmarks.attribution.apps_{app}:shop") for app, way in ways
    ]
    memory = "benchmarks.attribution.apps_memory:shop"
    cases.append(_fastapi(loop, "memory", app=memory, measures="alloc_space"))
    for version in ("2.0", "2.1"):
        requires = (f"sqlalchemy=={version}.*", "aiosqlite==0.22.*")
        cases += [
            _fastapi(
                *(loop, f"sqlalchemy-{version}_{way}"),
                path=f"sqlalchemy_{way}",
                app="benchmarks.attribution.apps_sqlalchemy:shop",
                requires=requires,
            )
            for way in ("run_sync", "listener")
        ]
    return cases


def _servers() -> list[Case]:
    """Return one case each for servers that fork or spawn workers, and for rarer servers."""
    shop = f"{_ASGI}:shop()"
    factory = ("--factory", f"{_ASGI}:shop")
    two = _START["prefork"]
    cases = [
        _asgi("uvicorn-workers", UVICORN, *factory, "--workers", "2", workers=2),
        _asgi("uvicorn-reload", UVICORN, *factory, "--reload", "--reload-dir", "benchmarks"),
        _asgi("gunicorn-asgi-prefork", GUNICORN, *two, "--worker-class", "asgi", shop, workers=2),
        _asgi("hypercorn-asyncio", HYPERCORN, "--worker-class", "asyncio", shop),
        _asgi("hypercorn-trio", HYPERCORN, "--worker-class", "trio", shop, way="anyio"),
    ]
    for start, options in _START.items():
        gthread = (*options, *_GTHREAD, f"{_WSGI}:app")
        gevent = (*options, *_GEVENT, f"{_WSGI}:app")
        uvicorn = (*options, "--worker-class", "uvicorn_worker.UvicornWorker", shop)
        cases += [
            _wsgi(f"gunicorn-gthread-{start}", GUNICORN, *gthread, workers=2),
            _wsgi(f"gunicorn-gevent-{start}", GUNICORN, *gevent, workers=2),
            _asgi(f"gunicorn-uvicorn-{start}", GUNICORN, *uvicorn, workers=2),
        ]
    cases.append(_wsgi("waitress", WAITRESS, f"{_WSGI}:app"))
    for start, options in {"prefork": (), "lazy-apps": ("--lazy-apps",)}.items():
        uwsgi = ("--processes", "2", *options, "--module", f"{_WSGI}:app")
        cases.append(_wsgi(f"uwsgi-{start}", UWSGI, *uwsgi, workers=2))
    for pool, workers in {"prefork": 2, "threads": 1, "gevent": 1, "solo": 1}.items():
        celery = ("-A", _CELERY, "worker", "--pool", pool, "--concurrency", "2", "-l", "INFO")
        attributes = {"workers": workers, "zero_code": "celery"}
        cases.append(Case(f"celery-{pool}/prepare", CELERY, celery, "prepare", 4, **attributes))
    return cases


def _flask() -> list[Case]:
    zero: dict[str, Any] = {"zero_code": "flask"}
    cases = [
        _wsgi("flask-gthread", GUNICORN, *_GTHREAD, _FLASK, way=way, **zero)
        for way in ("plain", "stream", "thread_pool", "async_view")
    ]
    cases += [
        _wsgi("flask-gevent", GUNICORN, *_GEVENT, _FLASK, way=way, **zero)
        for way in ("plain", "stream", "thread_pool")
    ]
    run = ("--app", _FLASK, "run", "--port", "0")
    cases.append(_wsgi("flask-run", FLASK_RUN, *run, **zero))
    for start, options in _START.items():
        cases.append(_wsgi(f"flask-{start}", GUNICORN, *options, _FLASK, workers=2, **zero))
    return cases


def _django() -> list[Case]:
    zero: dict[str, Any] = {"zero_code": "django"}
    cases = [
        _wsgi("django-gthread", GUNICORN, *_GTHREAD, _DJANGO_WSGI, way=way, **zero)
        for way in ("plain", "stream", "async_view")
    ]
    for start, options in _START.items():
        cases.append(_wsgi(f"django-{start}", GUNICORN, *options, _DJANGO_WSGI, workers=2, **zero))
    for loop in ("asyncio", "uvloop"):
        ways = ("async_view", "plain", "sync_to_async", "async_stream")
        uvicorn = ("--loop", loop, _DJANGO_ASGI)
        cases += [_asgi(f"django-{loop}", UVICORN, *uvicorn, way=way, **zero) for way in ways]
    ways = ("async_view", "plain", "async_stream")
    cases += [_asgi("django-daphne", DAPHNE, _DJANGO_ASGI, way=way, **zero) for way in ways]
    cases.append(_wsgi("django-runserver", RUNSERVER, "--settings", _DJANGO_SETTINGS, **zero))
    return cases


CASES = {case.name: case for case in _cases()}

SMALL_SELECTION = (
    "fastapi-asyncio/async_def",
    "fastapi-uvloop/async_def",
    "fastapi-asyncio/async_stream",
    "fastapi-asyncio/def",
    "fastapi-asyncio/to_thread",
    "fastapi-asyncio/sqlalchemy-2.1_run_sync",
    "gunicorn-gthread/plain",
    "gunicorn-gevent/plain",
    "flask-gthread/plain",
    "django-asyncio/async_view",
)
"""One case for each kind of switch point, for all packages and lengths of turn."""


def select(patterns: list[str]) -> list[Case]:
    """Return the cases with a name, or a part after the slash, that matches a pattern.

    Raises:
        LookupError: A pattern matches no case.
    """
    chosen: dict[str, Case] = {}
    for pattern in patterns:
        found = {
            name: case
            for name, case in CASES.items()
            if fnmatchcase(name, pattern) or fnmatchcase(name.partition("/")[2], pattern)
        }
        if not found:
            raise LookupError(f"no case is called {pattern!r}; --list shows all")
        chosen |= found
    return [case for name, case in CASES.items() if name in chosen]
