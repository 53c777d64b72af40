"""The app: what happens when Django has read the project's settings."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from pyroscope_otel.settings import SettingsError
from pyroscope_otel_django.configuration import (
    configure,
    follow_override,
    prepare,
    withhold_agent,
)
from pyroscope_otel_django.process import management_command


class PyroscopeConfig(AppConfig):
    """Links a project's traces with its profiles.

    In a management command, the reloader's included, only what must be done
    before Django loads the middleware: nothing starts there, and wrong settings
    are what `check` tells of. `runserver` is then configured by its middleware.
    """

    name = "pyroscope_otel_django"
    verbose_name = "Pyroscope and OpenTelemetry"

    def ready(self) -> None:
        """Prepare this process, and configure it if it is no management command.

        Raises:
            ImproperlyConfigured: If a setting is wrong, or OpenTelemetry's
                instrumentation is missing, in a process that serves.
        """
        from pyroscope_otel_django import checks  # noqa: F401  to be imported is to register

        setting_changed.connect(follow_override, dispatch_uid="pyroscope_otel_django")
        is_command = management_command() is not None
        if is_command:
            withhold_agent()
        try:
            prepare() if is_command else configure()
        except (SettingsError, ImportError) as error:
            if not is_command:
                raise ImproperlyConfigured(str(error)) from error
