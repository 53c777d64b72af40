"""The applications of `http` and their servers. As a program, it serves one of them."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.overhead.child import setting_of
from benchmarks.overhead.set_up import Setting, agent_settings, profile_by_hand, trace_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastapi import FastAPI

SETTING_VARIABLE = "OVERHEAD_SETTING"


def fastapi_app(setting: Setting) -> FastAPI:
    """Return a FastAPI application, which traces its requests itself."""
    from fastapi import FastAPI

    provider = trace_spans()
    app = FastAPI()
    if setting["variant"] == "middleware":
        from pyroscope_otel.asgi import PyroscopeMiddleware

        app.add_middleware(PyroscopeMiddleware, **agent_settings(setting))
    else:
        profile_by_hand(setting, provider)

    @app.get("/async/{number}")
    async def serve_async(number: int) -> dict[str, int]:
        return {"number": number}

    @app.get("/def/{number}")
    def serve_def(number: int) -> dict[str, int]:
        return {"number": number}

    return app


def wsgi_app(setting: Setting) -> Callable[..., Any]:
    """Return a plain WSGI application, traced by the contrib instrumentation."""
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    provider = trace_spans()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = b'{"path": "%s"}' % environ["PATH_INFO"].encode("latin-1")
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("200 OK", headers)
        return [body]

    if setting["variant"] == "middleware":
        from pyroscope_otel.wsgi import PyroscopeMiddleware

        return PyroscopeMiddleware(app, **agent_settings(setting))
    profile_by_hand(setting, provider)
    return OpenTelemetryMiddleware(app)


def _serve_asgi(setting: Setting, listener: socket.socket) -> None:
    import uvicorn

    app = fastapi_app(setting)
    config = uvicorn.Config(app, loop="uvloop", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


def _serve_wsgi(setting: Setting, listener: socket.socket) -> None:
    from gunicorn.app.base import BaseApplication

    class Gunicorn(BaseApplication):
        def load_config(self) -> None:
            # One worker, as the client uses the other core.
            options = {
                "bind": f"fd://{listener.fileno()}",
                "worker_class": "gthread",
                "workers": 1,
                "threads": 4,
                "loglevel": "warning",
                "graceful_timeout": 20,
                "keepalive": 60,
            }
            if "control_socket_disable" in self.cfg.settings:
                options["control_socket_disable"] = True
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Callable[..., Any]:
            return wsgi_app(setting)

    os.environ.pop("GUNICORN_CMD_ARGS", None)
    Gunicorn().run()


def main() -> None:
    """Serve on the listening socket that the parent process hands over."""
    setting = setting_of(sys.argv)
    listener = socket.socket(fileno=setting["listener"])
    if setting["server_kind"] == "wsgi":
        _serve_wsgi(setting, listener)
    else:
        _serve_asgi(setting, listener)


if __name__ == "__main__":
    main()
