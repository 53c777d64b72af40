"""Sets up without code: `opentelemetry-instrument` loads this module.

It runs at interpreter start in every Python process below `opentelemetry-instrument`: in a
server's master and workers, in a reloader, in a shell. It behaves as a guest in all of them:

* If Pyroscope is not configured, or is switched off, it installs nothing.
* A wrong setting logs one error, and there are no profiles. Unlike `configure`, it does not
  stop the process. `opentelemetry-instrument` would log an exception and continue without the
  hooks of other vendors, and exiting would stop shells and `pip` as well.
* It makes no tracer provider. The application may be about to set its own, which works only
  once.

The agent starts with the first request, so a master process that only forks never has one.
"""

from __future__ import annotations

import logging
import os
from functools import wraps
from typing import Any, NamedTuple

from opentelemetry import trace

from pyroscope_otel.following.hook import Patch
from pyroscope_otel.link import failure
from pyroscope_otel.setup import configuration, tracing
from pyroscope_otel.setup.findings.spans import judge_spans, sdk_is_disabled
from pyroscope_otel.setup.setting_table import TABLE
from pyroscope_otel.setup.settings import SettingsError, read_settings

logger = logging.getLogger("pyroscope_otel")

_ENTRY_POINT = "pyroscope_otel"
_IGNORED_OPTIONS = (
    *("skip_dep_check", "raise_exception_on_conflict"),
    *("meter_provider", "logger_provider"),
)
"""Options that loaders and distributions pass to every instrumentation. We ignore them."""

_has_started = False
_waiting: Patch | None = None
"""The patch that waits until the application sets a tracer provider, if there is none yet."""


def name_service() -> None:
    """Name the service after the application name, if OpenTelemetry has no name for it.

    This hook runs before all instrumentations, which copy the resource from the tracer
    provider. The distribution's provider has the name from `OTEL_SERVICE_NAME`. Without a name,
    Grafana's link would find no profile.
    """
    try:
        provider = tracing.provider_in_use()
        if provider is None or _reason_to_skip({}):
            return
        settings = read_settings({})
        if settings.sources["application_name"] != "default":
            tracing.name_service(provider, settings.application_name)
    except SettingsError:
        pass  # `start` reports it.
    except Exception:
        failure.report("name the service")


def start() -> None:
    """Set up from the environment. This hook runs after all instrumentations."""
    _start_once({})


class PyroscopeInstrumentor:
    """Sets up from OpenTelemetry's configuration file (``OTEL_CONFIG_FILE``).

    In that file, `instrumentation/development: python: pyroscope_otel:` holds settings of
    `pyroscope_otel.configure`. They take precedence over the environment. The class is loaded
    like an instrumentation but does not inherit from their base class, whose package a
    configuration file does not need.
    """

    def instrument(self, **options: Any) -> None:
        """Set up with these settings, once per process.

        Without settings, it leaves the set-up to `start`: `opentelemetry-instrument` calls all
        instrumentations in any order, and `start` after them.

        Args:
            **options: Settings, and the options that every instrumentation gets.
        """
        settings = {name: options[name] for name in options if name not in _IGNORED_OPTIONS}
        if settings:
            _start_once(settings)

    def uninstrument(self, **_options: Any) -> None:
        """Upload the remaining samples, stop the agent and undo the set-up."""
        global _has_started  # noqa: PLW0603  the process has one agent
        _has_started = False
        if _waiting is not None:
            _waiting.remove()
        configuration.shutdown()

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether it has been set up."""
        return _has_started


def _start_once(options: dict[str, Any]) -> None:
    global _has_started  # noqa: PLW0603  as above
    if not _has_started:
        _has_started = True
        _start(options)


def _start(options: dict[str, Any]) -> None:
    try:
        reason = _reason_to_skip(options)
        if reason is not None:
            # Something switched off explicitly needs no warning. The rest may be a mistake, and
            # warnings are the only level that is visible at this time.
            level = logging.INFO if reason.is_chosen else logging.WARNING
            logger.log(level, "No profiles: %s", reason.words)
        elif tracing.provider_in_use(options.get("tracer_provider")) is not None:
            configuration.apply(options, replaceable=True)
        else:
            logger.warning(
                "No profiles until the application sets a tracer provider: OpenTelemetry has none. "
                "To have one made: pip install opentelemetry-distro"
            )
            _start_when_provider_is_set(options)
    except SettingsError as error:
        logger.error("No profiles: %s", error)  # noqa: TRY400  a user's mistake, in one line
    except Exception:
        failure.report("set up without code")


class _Reason(NamedTuple):
    words: str
    is_chosen: bool
    """Whether the user has explicitly switched this package off."""


def _reason_to_skip(options: dict[str, Any]) -> _Reason | None:
    """Return why nothing should be installed, or None to install.

    Raises:
        SettingsError: If a setting is wrong.
    """
    if _ENTRY_POINT in _words("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"):
        return _Reason(
            f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names {_ENTRY_POINT}", is_chosen=True
        )
    settings = read_settings(options)  # Also warns of misspelt variables.
    # A distribution may pass its tracer provider to every instrumentation.
    given = options.keys() - {"tracer_provider"}
    if not given and not any(_words(name) for row in TABLE for name in row.environment):
        return _Reason(
            "Pyroscope is not configured. Set PYROSCOPE_SERVER_ADDRESS to the server's "
            "URL, or PYROSCOPE_ENABLED=false if you want no profiles.",
            # The file may list it as disabled, but does not tell us.
            is_chosen=bool(_words("OTEL_CONFIG_FILE")),
        )
    if not settings.enabled:
        return _Reason(f"enabled is False ({settings.sources['enabled']})", is_chosen=True)
    if sdk_is_disabled(os.environ):
        return _Reason(judge_spans(None, os.environ)[0].line, is_chosen=False)
    return None


def _words(variable: str) -> list[str]:
    """Return the comma-separated words of an environment variable."""
    words = os.environ.get(variable, "").split(",")
    return [word.strip() for word in words if word.strip()]


def _start_when_provider_is_set(options: dict[str, Any]) -> None:
    """Set up once the application sets the global tracer provider."""

    def wrap(set_tracer_provider: Any) -> Any:
        @wraps(set_tracer_provider)
        def set_and_start(*arguments: Any, **named: Any) -> None:
            set_tracer_provider(*arguments, **named)
            waiting.remove()
            # If the lock is held, our own `configure` is setting the provider.
            if not configuration._process.lock.locked():  # noqa: SLF001  the package's own
                _start(options)

        return set_and_start

    global _waiting  # noqa: PLW0603  as above
    _waiting = waiting = Patch(trace, "set_tracer_provider", wrap)
