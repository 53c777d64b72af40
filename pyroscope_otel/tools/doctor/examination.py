"""Runs the checks in order, and passes on the results that later checks need."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyroscope_otel.setup import tracing
from pyroscope_otel.setup.findings.finding import Finding, Level
from pyroscope_otel.setup.findings.names import is_unknown, judge_names
from pyroscope_otel.setup.findings.spans import judge_spans, sdk_is_disabled
from pyroscope_otel.setup.setting_table import TABLE
from pyroscope_otel.tools.doctor.application_check import check_application
from pyroscope_otel.tools.doctor.end_to_end_check import check_end_to_end
from pyroscope_otel.tools.doctor.masking import (
    secrets_of,
    secrets_of_address,
    secrets_of_environment,
)
from pyroscope_otel.tools.doctor.server_check import check_server
from pyroscope_otel.tools.doctor.settings_check import check_settings, shown
from pyroscope_otel.tools.doctor.target import target_of
from pyroscope_otel.tools.doctor.versions_check import check_versions, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyroscope_otel.setup.settings import Settings


@dataclass
class Examination:
    """What the doctor has found.

    Attributes:
        versions: The versions of Python and of the installed packages, by name.
        settings: The value and source of each setting, without secrets.
        settings_of: The origin of the settings, in words.
        agent: The sampler of the application's agent and the state of its uploads, by row title.
        findings: The findings, in the order of the checks.
        secrets: Texts that must not be printed.
    """

    versions: dict[str, str] = field(default_factory=dict)
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    settings_of: str = "the environment"
    agent: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether there are no problems."""
        return all(finding.level is not Level.PROBLEM for finding in self.findings)


def examine(
    *,
    app: str | None,
    path: str,
    server: str | None,
    read_from: str | None,
    progress: Callable[[str], object],
) -> Examination:
    """Examine a set-up.

    Args:
        app: The application to load, if any.
        path: The path of the requests to the application.
        server: The address of the Pyroscope server. Replaces the one in the settings.
        read_from: The address of the server to read profiles from, if it is another.
        progress: Called with a description of each step.
    """
    found = Examination(
        secrets=[*secrets_of_environment(os.environ), *secrets_of_address(read_from or "")]
    )
    progress("Checking the installed packages")
    found.versions = versions()
    found.findings += check_versions()
    if app is None:
        found.findings += judge_spans(None, os.environ)
    settings = _examine_settings(found, app, path, server, progress)
    if settings is None:
        return found
    found.settings |= shown(settings)
    if not settings.enabled:
        return found

    target = target_of(settings, read_from)
    progress(f"Pushing a profile to {target.shown} and reading it back")
    checked = check_server(target, uses_trace_id="trace_id" in settings.span_labels)
    found.findings += checked.findings
    has_profiles = settings.cpu_enabled and "span_id" in settings.span_labels
    if not has_profiles or sdk_is_disabled(os.environ):
        return found  # No span has a profile; the reason has been reported.
    progress("Using CPU time in a span and reading its profile back")
    found.findings += check_end_to_end(settings, checked, with_exporters=app is None)
    return found


def _examine_settings(
    found: Examination,
    app: str | None,
    path: str,
    server: str | None,
    progress: Callable[[str], object],
) -> Settings | None:
    """Return the settings in force: the application's, or else the environment's."""
    given: dict[str, object] = {"server_address": server} if server else {}
    if app is not None:
        progress(f"Loading {app} and sending it requests")
        application = check_application(app, path)
        found.findings += application.findings
        found.agent |= application.agent
        if application.arguments is not None:
            found.secrets += secrets_of(application.arguments)
            found.settings_of = app
            ours = {name for row in TABLE for name in row.environment}
            checked = check_settings(
                {**application.arguments, **given},
                # Only unknown names, which may be misspelt.
                environ={name: os.environ[name] for name in os.environ.keys() - ours},
                resource={},
                sources={**(application.sources or {}), **dict.fromkeys(given, "--server")},
            )
            found.findings += checked.findings
            return checked.settings
    resource = tracing.resource_attributes(None)
    checked = check_settings(
        given,
        environ=os.environ,
        resource=resource,
        sources=dict.fromkeys(given, "--server"),
    )
    found.findings += checked.findings
    settings = checked.settings
    if settings is not None:
        found.secrets += secrets_of(vars(settings))
        if app is None:
            found.findings += _names_in_environment(settings, resource)
    return settings


def _names_in_environment(settings: Settings, resource: Mapping[str, Any]) -> list[Finding]:
    """Compare the names if the environment sets them. An application may set them in code."""
    if is_unknown(resource.get("service.name")):
        return []
    return judge_names(settings.application_name, settings.tags, resource)
