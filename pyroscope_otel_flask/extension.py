"""The extension `Pyroscope`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroscope_otel.setup import configuration, tracing
from pyroscope_otel.wsgi import PyroscopeMiddleware
from pyroscope_otel_flask.instrumentation import instrument

if TYPE_CHECKING:
    from flask import Flask
    from typing_extensions import Unpack

    from pyroscope_otel.link.held_wsgi import WSGIApplication
    from pyroscope_otel.setup.arguments import Arguments

_NAME = "pyroscope"
_PREFIX = "PYROSCOPE_"


class Pyroscope:
    """Links the requests of a Flask application with their profiles.

    OpenTelemetry's Flask instrumentation makes a root span for each request. It is applied
    unless the application is already instrumented. The profile stays open until the response is
    closed, which includes a streaming body. The agent starts with the first request.

    Use `Pyroscope(app)`, or `init_app` in an application factory:

        pyroscope = Pyroscope()

        def create_app():
            app = Flask(__name__)
            pyroscope.init_app(app)
            return app

    The extension of an application is ``app.extensions["pyroscope"]``.

    Args:
        app: The application. If omitted, call `init_app`.
        **settings: The settings of `pyroscope_otel.configure`. A setting that is not given
            comes from ``app.config["PYROSCOPE_..."]``, with its name in upper case, then from
            the environment.

    Raises:
        Exception: See `init_app`, if an application is given.
    """

    def __init__(self, app: Flask | None = None, **settings: Unpack[Arguments]) -> None:
        self._settings = settings
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Link the requests of an application.

        All applications in a process share the agent and its settings. Settings that this
        application omits keep their earlier values.

        Args:
            app: The application, with its configuration loaded, before its first request.

        Raises:
            SettingsError: If a setting is unknown, has a wrong value, or differs from this
                process's configuration.
            RuntimeError: If the application already has the extension.
            TypeError: If it is not a Flask application.
            ImportError: If the instrumentation is needed but not installed.
        """
        _refuse_other_frameworks(app)
        if _NAME in app.extensions:
            raise RuntimeError(
                f"The Flask application {app.name!r} already has the Pyroscope extension: "
                "initialise it once, with Pyroscope(app) or with init_app(app)"
            )
        settings = configuration.apply(
            self._settings,
            framework=app.config.get_namespace(_PREFIX),
            framework_name=f"Flask setting {_PREFIX}{{}}",
            holds_requests=True,
        )
        if settings is not None:
            instrument(app, tracing.tracer_provider_for(settings))
            app.wsgi_app = _HeldApplication(app.wsgi_app)  # type: ignore[method-assign]
        app.extensions[_NAME] = self


class _HeldApplication(PyroscopeMiddleware):
    """The WSGI middleware, around an application that is already configured and traced."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = self._traced = app
        self._enabled = True


def _refuse_other_frameworks(app: object) -> None:
    # Not flask.Flask: OpenTelemetry's instrumentation replaces it by a subclass, and
    # applications made before are not instances of that.
    from flask.app import Flask

    if isinstance(app, Flask):
        return
    kind = type(app)
    message = (
        f"pyroscope_otel_flask.Pyroscope needs a Flask application; "
        f"this is a {kind.__module__}.{kind.__qualname__}"
    )
    if any(base.__module__.partition(".")[0] == "quart" for base in kind.__mro__):
        message += (
            ". For Quart: from pyroscope_otel.asgi import PyroscopeMiddleware, "
            "then app.asgi_app = PyroscopeMiddleware(app.asgi_app)"
        )
    raise TypeError(message)
