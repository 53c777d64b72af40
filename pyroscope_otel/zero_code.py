"""Set-up without code: what `opentelemetry-instrument` loads of this package.

It runs in every Python process below `opentelemetry-instrument`, when the
interpreter starts: in a server's master and its workers, in a reloader, in a shell.
It is a guest in all of them:

* Where nothing of Pyroscope is configured, or it is switched off, it installs
  nothing.
* A wrong setting is one error in the log, and no profiles. It does not stop the
  process, as `configure` does: an exception here would keep the other vendors' hooks
  from running, and never reach the application, as `opentelemetry-instrument` logs
  it and goes on. Leaving the interpreter would stop shells and `pip` as well.
* It makes no tracer provider. Where OpenTelemetry has none when the interpreter
  starts, the application may be about to set its own, which only works once.

The agent starts with the first request, as always, so a master that only forks
never has one.
"""

from __future__ import annotations

import logging
import os
from functools import wraps
from typing import Any, NamedTuple

from opentelemetry import trace

from pyroscope_otel import configuration, failure, tracing
from pyroscope_otel.findings.spans import judge_spans, sdk_is_disabled
from pyroscope_otel.following.hook import Patch
from pyroscope_otel.setting_table import TABLE
from pyroscope_otel.settings import SettingsError, read_settings

logger = logging.getLogger("pyroscope_otel")

_ENTRY_POINT = "pyroscope_otel"
_FOR_OTHERS = (
    *("skip_dep_check", "raise_exception_on_conflict"),
    *("meter_provider", "logger_provider"),
)
"""What loaders and distributions tell every instrumentation, and is nothing to us."""

_has_started = False
_waiting: Patch | None = None
"""What waits for the application to set a tracer provider, where there is none."""


def name_service() -> None:
    """Call the service by its application name, where OpenTelemetry has no name for it.

    The hook that runs before all instrumentations, which take the resource over
    from the tracer provider. What the distribution has made carries the name of
    `OTEL_SERVICE_NAME`; without one, Grafana's link would find no profile.
    """
    try:
        provider = tracing.provider_in_use()
        if provider is None or _reason_not_to({}):
            return
        settings = read_settings({})
        if settings.sources["application_name"] != "default":
            tracing.name_service(provider, settings.application_name)
    except SettingsError:
        pass  # `start` reports it.
    except Exception:
        failure.report("name the service")


def start() -> None:
    """Set up from the environment. The hook that runs after all instrumentations."""
    _start_once({})


class PyroscopeInstrumentor:
    """Sets up from the options of OpenTelemetry's configuration file (``OTEL_CONFIG_FILE``).

    There, `instrumentation/development: python: pyroscope_otel:` has settings of
    `pyroscope_otel.configure`, which come before the environment. It is loaded as an
    instrumentation is, and is not one of their base class: that is in a package which
    a configuration file does not need.
    """

    def instrument(self, **options: Any) -> None:
        """Set up with these settings, once in a process.

        Without settings it leaves it to `start`: `opentelemetry-instrument` calls all
        instrumentations, in any order, and `start` after them.

        Args:
            **options: Settings, and what instrumentations are told besides.
        """
        settings = {name: options[name] for name in options if name not in _FOR_OTHERS}
        if settings:
            _start_once(settings)

    def uninstrument(self, **_options: Any) -> None:
        """Upload what there is, stop the agent and take out what was set up."""
        global _has_started  # noqa: PLW0603  as the process has one agent
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
        reason = _reason_not_to(options)
        if reason is not None:
            # What was switched off by name needs no warning. The rest may be an
            # oversight, and at this time no other level is ever seen.
            level = logging.INFO if reason.is_chosen else logging.WARNING
            logger.log(level, "No profiles: %s", reason.words)
        elif tracing.provider_in_use(options.get("tracer_provider")) is not None:
            configuration.apply(options, replaceable=True)
        else:
            logger.warning(
                "No profiles until the application sets a tracer provider: OpenTelemetry has none. "
                "To have one made: pip install opentelemetry-distro"
            )
            _start_with_the_provider(options)
    except SettingsError as error:
        logger.error("No profiles: %s", error)  # noqa: TRY400  a user's mistake, in one line
    except Exception:
        failure.report("set up without code")


class _Reason(NamedTuple):
    words: str
    is_chosen: bool
    """Whether somebody has switched this package off, and nothing else."""


def _reason_not_to(options: dict[str, Any]) -> _Reason | None:
    """Return why nothing is to be installed, or None if it is.

    Raises:
        SettingsError: If a setting is wrong.
    """
    if _ENTRY_POINT in _words("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"):
        return _Reason(
            f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names {_ENTRY_POINT}", is_chosen=True
        )
    settings = read_settings(options)  # Warns of a misspelt variable, be it the only one.
    # A distribution may give its tracer provider to every instrumentation.
    given = options.keys() - {"tracer_provider"}
    if not given and not any(_words(name) for row in TABLE for name in row.environment):
        return _Reason(
            "nothing of Pyroscope is configured. Set PYROSCOPE_SERVER_ADDRESS to the server's "
            "URL, or PYROSCOPE_ENABLED=false if there are to be none.",
            # A file may list it as disabled, and does not tell us.
            is_chosen=bool(_words("OTEL_CONFIG_FILE")),
        )
    if not settings.enabled:
        return _Reason(f"enabled is False ({settings.sources['enabled']})", is_chosen=True)
    if sdk_is_disabled(os.environ):
        return _Reason(judge_spans(None, os.environ)[0].line, is_chosen=False)
    return None


def _words(variable: str) -> list[str]:
    """Return what an environment variable lists, with commas between."""
    words = os.environ.get(variable, "").split(",")
    return [word.strip() for word in words if word.strip()]


def _start_with_the_provider(options: dict[str, Any]) -> None:
    """Set up when the application sets the global tracer provider."""

    def wrap(set_tracer_provider: Any) -> Any:
        @wraps(set_tracer_provider)
        def set_and_start(*arguments: Any, **named: Any) -> None:
            set_tracer_provider(*arguments, **named)
            waiting.remove()
            # Held: it is our own `configure` that sets it, for whoever called that.
            if not configuration._process.lock.locked():  # noqa: SLF001  the package's own
                _start(options)

        return set_and_start

    global _waiting  # noqa: PLW0603  as above
    _waiting = waiting = Patch(trace, "set_tracer_provider", wrap)
