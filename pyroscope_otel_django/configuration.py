"""The setting `PYROSCOPE` of a Django project, and what is done with it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings as django_settings

from pyroscope_otel import agent, configuration, tracing
from pyroscope_otel.setting_table import BY_NAME
from pyroscope_otel.settings import SettingsError, read_settings
from pyroscope_otel_django.instrumentation import instrument
from pyroscope_otel_django.process import is_without_agent

if TYPE_CHECKING:
    from pyroscope_otel.settings import Settings

SETTING = "PYROSCOPE"
INSTRUMENT = "INSTRUMENT"
"""The one name in the dict that other adapters have not: whether to make root spans."""

_NAMES = (*(name.upper() for name in BY_NAME), INSTRUMENT)


def _called(name: str) -> str:
    return f"Django setting {SETTING}[{name!r}]"


class Project(NamedTuple):
    """What a project's settings say.

    Attributes:
        given: The settings of `pyroscope_otel.configure`, by name.
        instrument: Whether OpenTelemetry's instrumentation is to be applied.
    """

    given: dict[str, object]
    instrument: bool


def read_project() -> Project:
    """Return what the project's `PYROSCOPE` says; without one, nothing.

    Raises:
        SettingsError: If it is no dict, has an unknown name, or has a value for
            `INSTRUMENT` that is not allowed. The other values are not checked here.
    """
    setting = getattr(django_settings, SETTING, {})
    if not isinstance(setting, Mapping):
        # Without its value: it may have secrets in it.
        raise SettingsError(
            f"Django setting {SETTING} must be a dict; it is of type {type(setting).__name__}"
        )
    for name in setting:
        if name not in _NAMES:
            raise _unknown(name)
    instrument = setting.get(INSTRUMENT)
    if not (instrument is None or isinstance(instrument, bool)):
        raise SettingsError(
            f"{INSTRUMENT} must be True or False; {_called(INSTRUMENT)} is {instrument!r}"
        )
    given = {name.lower(): value for name, value in setting.items() if name != INSTRUMENT}
    return Project(given, instrument is not False)


def read() -> Settings:
    """Return the settings in force in a process that serves, changing nothing.

    Raises:
        SettingsError: As `pyroscope_otel.configure`.
    """
    given = read_project().given
    provider = tracing.provider_in_use(given.get("tracer_provider"))
    return read_settings(
        {},
        framework=given,
        framework_name=_called("{}"),
        resource=tracing.resource_attributes(provider),
    )


def prepare() -> None:
    """Do what must be done before Django loads the middleware: see to it that there are root spans.

    Raises:
        SettingsError: As `pyroscope_otel.configure`.
        ImportError: If OpenTelemetry's instrumentation of Django is not installed.
    """
    settings = read()
    if settings.enabled and read_project().instrument:
        instrument(settings.tracer_provider)


def configure() -> bool:
    """Link this process's traces with its profiles, as the project's settings say.

    It is called for each process that serves. A worker of another kind that is
    started as a management command calls it itself. Calling it again is fine.

    Returns:
        Whether `ENABLED` is not False.

    Raises:
        SettingsError: As `pyroscope_otel.configure`.
        ImportError: If OpenTelemetry's instrumentation of Django is not installed.
    """
    _state.is_wanted = True
    prepare()
    settings = configuration.apply(
        {},
        read_project().given,
        _called("{}"),
        with_agent=not is_without_agent(),
        holds_requests=True,
    )
    return settings is not None


def withhold_agent() -> None:
    """See to it that no agent runs in this process, also where it was set up without code."""
    agent.disarm()
    agent.stop()


class _State:
    is_wanted = False
    """Whether this process has been asked to `configure`."""


_state = _State()


def follow_override(*, setting: str, **_: object) -> None:
    """Configure anew where a test overrides `PYROSCOPE`: a receiver of `setting_changed`.

    Settings that are wrong leave it unconfigured, and are reported by who asks
    next: the middleware, or the system checks.
    """
    if setting == SETTING and _state.is_wanted:
        configuration.shutdown()
        with suppress(SettingsError, ImportError):
            configure()


def _unknown(name: object) -> SettingsError:
    nearest = difflib.get_close_matches(str(name).upper(), _NAMES, n=1)
    meant = (
        f"did you mean {_called(nearest[0])}?"
        if nearest
        else f"the settings are {', '.join(_NAMES)}"
    )
    return SettingsError(f"Django setting {SETTING}[{name!r}] is not a setting; {meant}")
