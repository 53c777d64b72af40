"""System checks: what `manage.py check` and `runserver` say of the set-up."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004  Django's

from pyroscope_otel import tracing
from pyroscope_otel.names import is_unknown, service_names
from pyroscope_otel.processor import PyroscopeSpanProcessor
from pyroscope_otel.settings import SettingsError
from pyroscope_otel_django.configuration import prepare, read
from pyroscope_otel_django.instrumentation import MIDDLEWARE

if TYPE_CHECKING:
    from pyroscope_otel.settings import Settings

APP = "pyroscope_otel_django"
TAG = "pyroscope"
_NEAR_THE_TOP = 3
_OPENTELEMETRY = "opentelemetry."


@register(TAG)
def check_settings(**_: Any) -> list[CheckMessage]:
    """Report settings with which no process would serve."""
    try:
        prepare()
    except SettingsError as error:
        hint = (
            "No process serves requests with it. It is in PYROSCOPE in the project's settings, or "
            "in the environment variable named."
        )
        return [Error(str(error), hint=hint, id=f"{APP}.E001")]
    except ImportError as error:
        return [Error(str(error), id=f"{APP}.E002")]
    return []


@register(TAG)
def check_middleware(**_: Any) -> list[CheckMessage]:
    """Report a middleware that is missing, or too far down."""
    if _settings_in_force() is None:
        return []
    listed = [one for one in django_settings.MIDDLEWARE if not one.startswith(_OPENTELEMETRY)]
    if MIDDLEWARE not in listed:
        return [
            Warning(
                f"{MIDDLEWARE} is not in MIDDLEWARE.",
                hint=(
                    "Put it first. Without it runserver takes no profiles, streaming responses "
                    "are in none, and requests have no pyroscope_profile_id."
                ),
                id=f"{APP}.W001",
            )
        ]
    above = listed[: listed.index(MIDDLEWARE)]
    if len(above) < _NEAR_THE_TOP:
        return []
    return [
        Warning(
            f"{MIDDLEWARE} stands below {len(above)} others in MIDDLEWARE.",
            hint=f"Put it first. Not in any request's profile: {', '.join(above)}.",
            id=f"{APP}.W002",
        )
    ]


@register(TAG)
def check_tracing(**_: Any) -> list[CheckMessage]:
    """Report traces that go nowhere, or that the profiles' name does not match."""
    settings = _settings_in_force()
    if settings is None:
        return []
    found: list[CheckMessage] = []
    provider = tracing.provider_in_use(settings.tracer_provider)
    if not _exports(provider):
        found.append(
            Warning(
                "The tracer provider has no exporter: traces go nowhere."
                if provider
                else "There is no tracer provider, and the one that is made exports nowhere.",
                hint=(
                    "Set the environment variable OTEL_EXPORTER_OTLP_ENDPOINT, and "
                    "pip install 'pyroscope-otel[otlp]'. Where only the server's start-up makes "
                    f"the provider, put {APP}.W003 into SILENCED_SYSTEM_CHECKS."
                ),
                id=f"{APP}.W003",
            )
        )
    resource = tracing.resource_attributes(provider)
    service = service_names(settings.application_name, settings.tags, resource)
    # A provider that is yet to be made takes the application's name.
    is_made = provider is None and is_unknown(service.traces)
    if service.differ and not is_made:
        found.append(
            Warning(
                f"Profiles have service_name {service.profiles!r}, "
                f"traces have service.name {service.traces!r}.",
                hint=(
                    "Grafana's link from a trace finds no profile unless both match: set "
                    "PYROSCOPE['APPLICATION_NAME'] or the environment variable OTEL_SERVICE_NAME."
                ),
                id=f"{APP}.W004",
            )
        )
    return found


@register(TAG, deploy=True)
def check_transport(**_: Any) -> list[CheckMessage]:
    """Report credentials that would cross a network in plain text."""
    settings = _settings_in_force()
    if settings is None:
        return []
    address = urlsplit(settings.server_address)
    secrets = (
        settings.basic_auth_password,
        settings.auth_token,
        settings.http_headers,
        address.username,
    )
    if address.scheme != "http" or not any(secrets) or _is_this_machine(address.hostname or ""):
        return []
    return [
        Warning(
            "The credentials for the Pyroscope server cross the network in plain text: "
            f"SERVER_ADDRESS is {settings.shown('server_address')}.",
            hint="Use an address that begins with https://.",
            id=f"{APP}.W005",
        )
    ]


def _settings_in_force() -> Settings | None:
    """Return the settings; None where they are wrong, or all is switched off."""
    try:
        settings = read()
    except SettingsError:
        return None
    return settings if settings.enabled else None


def _exports(provider: Any | None) -> bool:
    """Return False for a provider whose spans, as far as can be seen, go nowhere."""
    if provider is None:
        return tracing.otlp_module() is not None
    if not hasattr(provider, "_active_span_processor"):
        return True
    processors = tracing.span_processors(provider)
    return any(not isinstance(one, PyroscopeSpanProcessor) for one in processors)


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
