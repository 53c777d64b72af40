"""System checks: what `manage.py check` and `runserver` report about the set-up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004  Django's

from pyroscope_otel.setup import tracing
from pyroscope_otel.setup.findings.credentials import judge_credentials
from pyroscope_otel.setup.findings.exporting import judge_exporting
from pyroscope_otel.setup.findings.finding import Level
from pyroscope_otel.setup.findings.names import judge_names
from pyroscope_otel.setup.findings.profiling import judge_visibility
from pyroscope_otel.setup.findings.spans import judge_spans
from pyroscope_otel.setup.settings import SettingsError
from pyroscope_otel_django.configuration import prepare, read
from pyroscope_otel_django.instrumentation import MIDDLEWARE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyroscope_otel.setup.findings.finding import Finding
    from pyroscope_otel.setup.settings import Settings

APP = "pyroscope_otel_django"
TAG = "pyroscope"
_NEAR_THE_TOP = 3
_OPENTELEMETRY = "opentelemetry."
_CHOSEN_EXPORTERS = ("traces-stay-here", "traces-exporter-unknown")
"""Exporter findings that are deliberate choices."""
_MADE_AT_START_UP = (
    "If only the server's start-up makes the tracer provider, add {} to SILENCED_SYSTEM_CHECKS."
)


@register(TAG)
def check_settings(**_: Any) -> list[CheckMessage]:
    """Report settings that keep every process from serving."""
    try:
        prepare()
    except SettingsError as error:
        hint = (
            "No process can serve requests with it. Fix PYROSCOPE in the project's settings, or "
            "the named environment variable."
        )
        return [Error(str(error), hint=hint, id=f"{APP}.E001")]
    except ImportError as error:
        return [Error(str(error), id=f"{APP}.E002")]
    return []


@register(TAG)
def check_middleware(**_: Any) -> list[CheckMessage]:
    """Report a missing middleware, or one that is too far down."""
    if _settings_in_force() is None:
        return []
    listed = [one for one in django_settings.MIDDLEWARE if not one.startswith(_OPENTELEMETRY)]
    if MIDDLEWARE not in listed:
        return [
            Warning(
                f"{MIDDLEWARE} is not in MIDDLEWARE.",
                hint=(
                    "Put it first. Without it, runserver takes no profiles, and requests have no "
                    "pyroscope_profile_id."
                ),
                id=f"{APP}.W001",
            )
        ]
    above = listed[: listed.index(MIDDLEWARE)]
    if len(above) < _NEAR_THE_TOP:
        return []
    return [
        Warning(
            f"{MIDDLEWARE} is below {len(above)} others in MIDDLEWARE.",
            hint=f"Put it first. Above it: {', '.join(above)}.",
            id=f"{APP}.W002",
        )
    ]


@register(TAG)
def check_tracing(**_: Any) -> list[CheckMessage]:
    """Report spans that are missing or not exported, and names that do not match."""
    settings = _settings_in_force()
    if settings is None:
        return []
    provider = tracing.provider_in_use(settings.tracer_provider)
    without_spans = judge_spans(provider, os.environ)
    if without_spans:
        return _warnings(without_spans, "W006")
    exporting = [
        one for one in judge_exporting(provider, os.environ) if one.code not in _CHOSEN_EXPORTERS
    ]
    resource = tracing.resource_attributes(provider, settings.application_name)
    names = judge_names(settings.application_name, settings.tags, resource)
    return [
        *_warnings(exporting, "W003", _MADE_AT_START_UP),
        *_warnings(names, "W004", _MADE_AT_START_UP),
    ]


@register(TAG)
def check_visibility(**_: Any) -> list[CheckMessage]:
    """Report what keeps profiles from showing up in Grafana."""
    settings = _settings_in_force()
    return [] if settings is None else _warnings(judge_visibility(settings), "W007")


@register(TAG, deploy=True)
def check_transport(**_: Any) -> list[CheckMessage]:
    """Report credentials that would cross a network in plain text."""
    settings = _settings_in_force()
    return [] if settings is None else _warnings(judge_credentials(settings), "W005")


def _warnings(findings: Iterable[Finding], number: str, unless: str = "") -> list[CheckMessage]:
    """Return the findings that are not fine, as warnings with one id.

    Args:
        findings: The findings.
        number: The end of the id.
        unless: When the warning does not apply, with `{}` for the id.
    """
    identity = f"{APP}.{number}"
    return [
        Warning(
            finding.summary,
            hint=f"{finding.remedy} {unless.format(identity)}".strip() or None,
            id=identity,
        )
        for finding in findings
        if finding.level is not Level.FINE
    ]


def _settings_in_force() -> Settings | None:
    """Return the settings, or None if they are wrong or `enabled` is False."""
    try:
        settings = read()
    except SettingsError:
        return None
    return settings if settings.enabled else None
