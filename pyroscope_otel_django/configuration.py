"""Reads the setting `PYROSCOPE` of a Django project and applies it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings as django_settings

from pyroscope_otel.setup import agent, configuration, tracing
from pyroscope_otel.setup.setting_table import BY_NAME
from pyroscope_otel.setup.settings import SettingsError, read_settings
from pyroscope_otel_django.instrumentation import instrument
from pyroscope_otel_django.process import is_without_agent

if TYPE_CHECKING:
    from pyroscope_otel.setup.settings import Settings

SETTING = "PYROSCOPE"
INSTRUMENT = "INSTRUMENT"
"""The only name that other adapters lack: whether to make root spans."""

_NAMES = (*(name.upper() for name in BY_NAME), INSTRUMENT)


def _called(name: str) -> str:
    return f"Django setting {SETTING}[{name!r}]"


class Project(NamedTuple):
    """A project's settings.

    Attributes:
        given: The settings of `pyroscope_otel.configure`, by name.
        instrument: Whether to apply OpenTelemetry's instrumentation.
    """

    given: dict[str, object]
    instrument: bool


def read_project() -> Project:
    """Return the project's `PYROSCOPE` setting, empty if it has none.

    Raises:
        SettingsError: If it is not a dict, has an unknown name, or has a wrong value for
            `INSTRUMENT`. Other values are not checked here.
    """
    setting = getattr(django_settings, SETTING, {})
    if not isinstance(setting, Mapping):
        # The value is omitted: it may contain secrets.
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
    """Return the settings that apply in a serving process. Changes nothing.

    Raises:
        SettingsError: See `pyroscope_otel.configure`.
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
    """Set up root spans, which must happen before Django loads the middleware.

    Raises:
        SettingsError: See `pyroscope_otel.configure`.
        ImportError: If OpenTelemetry's Django instrumentation is not installed.
    """
    settings = read()
    if settings.enabled and read_project().instrument:
        instrument(settings.tracer_provider)


def configure() -> bool:
    """Link this process's traces with its profiles, using the project's settings.

    Every process that serves requests calls it automatically. Other kinds of workers that start
    as a management command must call it themselves. Calling it again is harmless.

    Returns:
        Whether the setting `ENABLED` is True.

    Raises:
        SettingsError: See `pyroscope_otel.configure`.
        ImportError: If OpenTelemetry's Django instrumentation is not installed.
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
    """Prevent an agent in this process, even if it was set up without code."""
    agent.disarm()
    agent.stop()


class _State:
    is_wanted = False
    """Whether `configure` has been called in this process."""


_state = _State()


def follow_override(*, setting: str, **_: object) -> None:
    """Reconfigure when a test overrides `PYROSCOPE` (a receiver of `setting_changed`).

    Wrong settings leave the process unconfigured. The middleware or the system checks report
    them later.
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
