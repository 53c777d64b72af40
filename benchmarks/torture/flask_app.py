"""The application under stress, for gevent: Flask, whose requests take turns as greenlets.

It starts no processes. A gevent worker that does loses requests, with or without this package.
"""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

from flask import Flask
from opentelemetry.sdk.trace import TracerProvider

from benchmarks.torture import work
from benchmarks.torture.work import TURN_SECONDS, TURNS, burn
from pyroscope_otel_flask import Pyroscope


def make_app() -> Flask:
    """Return the application, and start the stress."""
    work.enable_faulthandler_first()
    provider = TracerProvider()
    app = Flask(__name__)
    Pyroscope(app, tracer_provider=provider, **work.settings())
    pool = ThreadPoolExecutor(4)

    @app.get("/turns")
    def turns() -> dict[str, float]:
        spent = 0.0
        for _ in range(TURNS):
            spent += burn(TURN_SECONDS)
            time.sleep(0)  # switches to another greenlet
        return {"spent": spent}

    def thread() -> float:
        return burn(TURNS * TURN_SECONDS)

    @app.get("/thread")
    def job() -> dict[str, float]:
        return {"spent": pool.submit(thread).result()}

    @app.get("/deep")
    def deep() -> dict[str, float]:
        return {"spent": work.deep(300)}

    @app.get("/extensions")
    def extensions() -> dict[str, float]:
        return {"spent": work.use_extensions()}

    @app.get("/numbers")
    def numbers() -> dict[str, int]:
        return work.numbers()

    # gunicorn's pipe, which a gevent worker does not read. The stress's signals would fill it.
    signal.set_wakeup_fd(-1)
    work.begin_stress(provider.get_tracer("torture"))
    return app
