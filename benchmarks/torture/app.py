"""The application under stress: FastAPI, with everything that could trip up a sampler."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zlib

from fastapi import FastAPI
from opentelemetry.sdk.trace import TracerProvider

from pyroscope_otel.asgi import PyroscopeMiddleware
from pyroscope_otel.link.held_request import hold_request, release, run_held
from pyroscope_otel.link.marks import MARKS

TURN_SECONDS = 0.001
TURNS = 20


def burn(seconds: float) -> float:
    """Use this much of the thread's CPU time, and return the exact amount."""
    begin = time.thread_time()
    while (spent := time.thread_time() - begin) < seconds:
        sum(range(50))
    return spent


def deep(depth: int) -> float:
    """Use a turn of CPU time below this many frames."""
    return burn(TURN_SECONDS) if depth == 0 else deep(depth - 1)


def make_app() -> FastAPI:
    """Return the application, and start the stress."""
    # Before the sampler, as its handlers chain to these.
    faulthandler.enable()
    provider = TracerProvider()
    app = FastAPI()
    app.add_middleware(
        PyroscopeMiddleware,
        application_name="torture",
        tracer_provider=provider,
        upload_interval=2,
        mem_enabled=True,
        cpu_implementation=os.environ["TORTURE_SAMPLER"],
    )

    @app.get("/turns")
    async def turns() -> dict[str, float]:
        spent = 0.0
        for _ in range(TURNS):
            spent += burn(TURN_SECONDS)
            await asyncio.sleep(0)
        return {"spent": spent}

    @app.get("/thread")
    def thread() -> dict[str, float]:
        return {"spent": burn(TURNS * TURN_SECONDS)}

    @app.get("/deep")
    async def deep_() -> dict[str, float]:
        return {"spent": deep(300)}

    @app.get("/extensions")
    def extensions() -> dict[str, float]:
        data = os.urandom(200_000)
        zlib.compress(data)
        hashlib.sha256(data * 5).hexdigest()
        with contextlib.closing(sqlite3.connect(":memory:")) as database:
            database.execute("select count(*) from (select value from json_each('[1,2,3]'))")
        json.loads(json.dumps({str(i): i for i in range(2_000)}))
        return {"spent": 0.0}

    @app.get("/processes")
    def processes() -> dict[str, float]:
        subprocess.run([sys.executable, "-S", "-c", "pass"], check=True)
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return {"spent": 0.0}

    @app.get("/numbers")
    def numbers() -> dict[str, int]:
        there, free = MARKS.count()
        return {"there": there, "free": free}

    tracer = provider.get_tracer("torture")
    signal.signal(signal.SIGALRM, lambda *_: sum(range(100)))
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    for target in (_short_threads, lambda: _many_marks(tracer)):
        threading.Thread(target=target, daemon=True).start()
    return app


def _short_threads() -> None:
    while True:
        threads = [threading.Thread(target=burn, args=(0.0005,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(0.02)


def _many_marks(tracer: object) -> None:
    """Hold and end requests as fast as possible, for a tenth of the time."""

    def request() -> None:
        with tracer.start_as_current_span("mark"):
            pass

    while True:
        end = time.monotonic() + 0.01
        while time.monotonic() < end:
            for _ in range(20):
                hold = hold_request({})
                try:
                    run_held(hold, request)
                finally:
                    release(hold)
        time.sleep(0.09)
