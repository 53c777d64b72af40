"""An application's use of the public API. mypy checks it (`make lint`), nothing runs it.

A line that must not pass says so, and an ignored error that does not occur is an error itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from typing_extensions import assert_type

import pyroscope_otel
from pyroscope_otel import asgi, wsgi
from pyroscope_otel_flask import Pyroscope

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

pyroscope_otel.configure(application_name="shop", tags={"region": "eu"}, sample_rate=100)
pyroscope_otel.configure(aplication_name="shop")  # type: ignore[call-arg]
pyroscope_otel.configure(sample_rate="100")  # type: ignore[arg-type]
pyroscope_otel.configure("shop")  # type: ignore[call-arg]

assert_type(pyroscope_otel.shutdown(), bool)
assert_type(pyroscope_otel.current_profile_id(), str | None)
state = pyroscope_otel.upload_state()
if state is not None:
    assert_type(state.waiting, int)

pyroscope_otel.PyroscopeSpanProcessor(span_labels=["span_id"], scope="all")
pyroscope_otel.PyroscopeSpanProcessor(scope="each")  # type: ignore[arg-type]

for asgi_application in (FastAPI(), Starlette()):
    asgi_application.add_middleware(asgi.PyroscopeMiddleware, application_name="shop")
    asgi_application.add_middleware(asgi.PyroscopeMiddleware, sample_rate="100")  # type: ignore[arg-type]
    asgi.PyroscopeMiddleware(asgi_application, application_name="shop")


def wsgi_application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer nothing, to whatever."""
    del environ
    start_response("204 No Content", [])
    return []


wsgi.PyroscopeMiddleware(wsgi_application, application_name="shop")
wsgi.PyroscopeMiddleware(wsgi_application, tags="region=eu")  # type: ignore[arg-type]

flask_application = Flask("shop")
Pyroscope(flask_application, application_name="shop")
Pyroscope().init_app(flask_application)
flask_application.wsgi_app = wsgi.PyroscopeMiddleware(flask_application.wsgi_app)  # type: ignore[method-assign]  # Flask documents this
