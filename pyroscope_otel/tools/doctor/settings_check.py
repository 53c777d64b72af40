"""Checks the settings: their values, their sources, and which of them break the link."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyroscope_otel.setup.findings.credentials import judge_credentials
from pyroscope_otel.setup.findings.finding import Finding, fine, note, problem
from pyroscope_otel.setup.findings.profiling import judge_profiling, judge_visibility
from pyroscope_otel.setup.settings import Settings, SettingsError, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

AT_RUN_TIME = ("cpu_implementation", "line_no", "tracer_provider")
"""Settings with values that cannot be passed to another process."""


@dataclass(frozen=True)
class SettingsCheck:
    """What was found about the settings.

    Attributes:
        findings: The findings.
        settings: The settings, or None if they are refused.
    """

    findings: list[Finding]
    settings: Settings | None = None


class _Warnings(logging.Handler):
    """Collects the warnings that are logged while the settings are read."""

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
        given: Settings that take precedence over the environment.
        environ: The environment variables.
        resource: The attributes of the OpenTelemetry resource.
        sources: The sources of the given settings, if known.
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
        note("settings-near-miss", message, "Correct its name, or remove it.")
        for message in warnings.messages
    ]
    return SettingsCheck(findings + judge(settings), settings)


def refused(words: str) -> Finding:
    """Report that a setting is refused.

    Args:
        words: The error message, which names the setting, its source and what is allowed.
    """
    return problem(
        "settings-refused",
        "A setting is refused: an application with it does not start.",
        "Change it to what is allowed.",
        words,
    )


def judge(settings: Settings) -> list[Finding]:
    """Report what is wrong with valid settings."""
    findings = [
        *judge_profiling(settings),
        *judge_visibility(settings),
        *judge_credentials(settings),
    ]
    return findings or [fine("settings-allowed", "The settings are allowed.")]


def shown(settings: Settings) -> dict[str, dict[str, str]]:
    """Return the value and source of each setting by name, without secrets."""
    return {
        name: {"value": settings.shown(name), "source": source}
        for name, source in settings.sources.items()
    }


def as_arguments(settings: Settings) -> dict[str, Any]:
    """Return the settings as arguments for `configure` that JSON can represent.

    The values are not masked: they go to a child process of the doctor.
    """
    arguments = {
        name: getattr(settings, name) for name in settings.sources if name not in AT_RUN_TIME
    }
    return {**arguments, "span_labels": list(settings.span_labels)}
