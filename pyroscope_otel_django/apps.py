"""The app config: runs once Django has loaded the project's settings."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from pyroscope_otel.setup.settings import SettingsError
from pyroscope_otel_django.configuration import (
    configure,
    follow_override,
    prepare,
    withhold_agent,
)
from pyroscope_otel_django.process import management_command


class PyroscopeConfig(AppConfig):
    """Links a project's traces with its profiles.

    In a management command, including the reloader, it only prepares what Django needs before
    it loads the middleware. Nothing starts there, and `check` reports wrong settings. In
    `runserver`, the middleware does the configuration.
    """

    name = "pyroscope_otel_django"
    verbose_name = "Pyroscope and OpenTelemetry"

    def ready(self) -> None:
        """Prepare this process, and configure it unless it runs a management command.

        Raises:
            ImproperlyConfigured: If a setting is wrong, or OpenTelemetry's instrumentation is
                missing, in a process that serves requests.
        """
        from pyroscope_otel_django import checks  # noqa: F401  importing registers the checks

        setting_changed.connect(follow_override, dispatch_uid="pyroscope_otel_django")
        is_command = management_command() is not None
        if is_command:
            withhold_agent()
        try:
            prepare() if is_command else configure()
        except (SettingsError, ImportError) as error:
            if not is_command:
                raise ImproperlyConfigured(str(error)) from error
