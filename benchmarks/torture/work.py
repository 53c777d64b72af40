"""The work of the application under stress, and the stress beside it."""

from __future__ import annotations

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
from typing import TYPE_CHECKING, Any

from pyroscope_otel.link.held_request import hold_request, release, run_held
from pyroscope_otel.link.marks import MARKS

if TYPE_CHECKING:
    from collections.abc import Callable

TURN_SECONDS = 0.001
TURNS = 20
_LATER_SECONDS = 20.0


def settings() -> dict[str, Any]:
    """Return the middleware's settings."""
    return {
        "application_name": "torture",
        "upload_interval": 2,
        "mem_enabled": True,
        "cpu_implementation": os.environ["TORTURE_SAMPLER"],
    }


def burn(seconds: float) -> float:
    """Use this much of the thread's CPU time, and return the exact amount."""
    begin = time.thread_time()
    while (spent := time.thread_time() - begin) < seconds:
        sum(range(50))
    return spent


def deep(depth: int) -> float:
    """Use a turn of CPU time below this many frames."""
    return burn(TURN_SECONDS) if depth == 0 else deep(depth - 1)


def use_extensions() -> float:
    """Run the code of extension modules."""
    data = os.urandom(200_000)
    zlib.compress(data)
    hashlib.sha256(data * 5).hexdigest()
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute("select count(*) from (select value from json_each('[1,2,3]'))")
    json.loads(json.dumps({str(i): i for i in range(2_000)}))
    return 0.0


def start_processes() -> float:
    """Start a program, and fork."""
    subprocess.run([sys.executable, "-S", "-c", "pass"], check=True)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return 0.0


def numbers() -> dict[str, int]:
    """Return how many numbers there are."""
    there, free = MARKS.count()
    return {"there": there, "free": free}


def begin_stress(tracer: Any) -> None:
    """Start the threads and the signals, which go on until the process ends."""
    signal.signal(signal.SIGALRM, lambda *_: sum(range(100)))
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    _in_background(_short_threads)
    _in_background(lambda: _many_marks(tracer))
    if os.environ["TORTURE_FAULTHANDLER"] == "later":
        _in_background(_enable_faulthandler_later)


def enable_faulthandler_first() -> None:
    """Enable `faulthandler` before the sampler starts, whose handlers then chain to it."""
    if os.environ["TORTURE_FAULTHANDLER"] == "first":
        faulthandler.enable()


def _enable_faulthandler_later() -> None:
    time.sleep(_LATER_SECONDS)
    faulthandler.enable()


def _in_background(target: Callable[[], None]) -> None:
    threading.Thread(target=target, daemon=True).start()


def _short_threads() -> None:
    while True:
        threads = [threading.Thread(target=burn, args=(0.0005,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(0.02)


def _many_marks(tracer: Any) -> None:
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
