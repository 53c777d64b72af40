"""Checks the settings: what is in force, where it came from, what breaks the link."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pyroscope_otel.doctor.finding import Finding, fine, note, problem
from pyroscope_otel.settings import Settings, SettingsError, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

_FEW_SAMPLES = 50
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
AT_RUN_TIME = ("cpu_implementation", "line_no", "tracer_provider")
"""Settings whose values are objects: they stay in the process that has them."""


@dataclass(frozen=True)
class SettingsCheck:
    """What was found about the settings.

    Attributes:
        findings: The findings.
        settings: The settings; None if they are refused.
    """

    findings: list[Finding]
    settings: Settings | None = None


class _Warnings(logging.Handler):
    """Collects what reading the settings warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def check_settings(
    given: Mapping[str, object],
    *,
    environ: Mapping[str, str],
    resource: Mapping[str, object],
    sources: Mapping[str, str] | None = None,
) -> SettingsCheck:
    """Read the settings as an application would, and judge them.

    Args:
        given: Settings that come before the environment.
        environ: The environment variables.
        resource: The attributes of the OpenTelemetry resource.
        sources: Where those given came from, where it is known better.
    """
    logger = logging.getLogger("pyroscope_otel")
    warnings = _Warnings()
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(warnings)
    try:
        settings = read_settings(given, environ=environ, resource=resource)
    except SettingsError as error:
        return SettingsCheck([refused(str(error))])
    finally:
        logger.removeHandler(warnings)
        logger.propagate = propagates
    settings = replace(settings, sources={**settings.sources, **(sources or {})})
    findings = [
        note("settings-near-miss", message, "Correct its name, or take it away.")
        for message in warnings.messages
    ]
    return SettingsCheck(findings + judge(settings), settings)


def refused(words: str) -> Finding:
    """Return the finding that a setting is refused.

    Args:
        words: The error's, which name the setting, its source and what is allowed.
    """
    return problem(
        "settings-refused",
        "A setting is refused: an application with it does not start.",
        "Change it to what is allowed.",
        words,
    )


def judge(settings: Settings) -> list[Finding]:
    """Return what is wrong with settings that are allowed."""
    findings = []
    if not settings.enabled:
        findings.append(
            problem(
                "settings-disabled",
                f"enabled is False ({settings.sources['enabled']}): nothing is installed, spans "
                "get no pyroscope.profile.id, and no profile arrives.",
                "Take the setting away.",
            )
        )
    if not settings.cpu_enabled:
        findings.append(
            problem(
                "settings-no-cpu-profiles",
                f"cpu_enabled is False ({settings.sources['cpu_enabled']}): only CPU profiles "
                "carry span labels.",
                "Take the setting away.",
            )
        )
    if "span_id" not in settings.span_labels:
        findings.append(
            problem(
                "settings-no-span-id",
                f"span_labels ({settings.sources['span_labels']}) leaves out span_id: samples "
                "are not linked with spans, and the profile of every span is empty.",
                "Add span_id to span_labels (PYROSCOPE_SPAN_LABELS).",
            )
        )
    if settings.sample_rate < _FEW_SAMPLES:
        period = 1000 / settings.sample_rate
        findings.append(
            note(
                "settings-few-samples",
                f"A sample is taken each {period:.0f} ms ({settings.sources['sample_rate']}): a "
                "span with less CPU time than that often has an empty profile.",
                "Raise sample_rate (PYROSCOPE_PROFILING_INTERVAL); 100 a second is the default.",
            )
        )
    if _is_in_the_clear(settings):
        findings.append(
            note(
                "settings-credentials-in-clear",
                "Credentials go to another machine over plain http; anyone between can read them.",
                "Use https in server_address.",
            )
        )
    return findings or [fine("settings-allowed", "The settings are allowed.")]


def _is_in_the_clear(settings: Settings) -> bool:
    address = urlsplit(settings.server_address)
    headers = {name.lower() for name in settings.http_headers}
    has_credentials = (
        settings.auth_token
        or settings.basic_auth_password
        or address.password
        or "authorization" in headers
    )
    return (
        bool(has_credentials) and address.scheme == "http" and address.hostname not in _LOCAL_HOSTS
    )


def shown(settings: Settings) -> dict[str, dict[str, str]]:
    """Return each setting's value and source as they may be shown, by its name."""
    return {
        name: {"value": settings.shown(name), "source": source}
        for name, source in settings.sources.items()
    }


def as_arguments(settings: Settings) -> dict[str, Any]:
    """Return the settings as arguments of `configure` that fit into JSON.

    The values are not masked: they go to a process of the doctor's.
    """
    arguments = {
        name: getattr(settings, name) for name in settings.sources if name not in AT_RUN_TIME
    }
    return {**arguments, "span_labels": list(settings.span_labels)}
