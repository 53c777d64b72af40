"""Checks that traces and profiles go under the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroscope_otel.doctor.finding import Finding, fine, problem
from pyroscope_otel.names import is_unknown, service_names, service_namespaces

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_names(
    application_name: str, tags: Mapping[str, str], resource: Mapping[str, Any]
) -> list[Finding]:
    """Compare the profiles' labels with the traces' resource."""
    service = service_names(application_name, tags, resource)
    findings = []
    if service.differ:
        findings.append(
            problem(
                "names-differ",
                f"Profiles have service_name {service.profiles!r}, traces have service.name "
                f"{service.traces!r}: the link from a span finds no profile.",
                "Give application_name (PYROSCOPE_APPLICATION_NAME) and service.name the same "
                "value, or leave the former out: it is taken from the latter. service.name is in "
                "the resource that the application's code makes; if that has none, it is "
                "OTEL_SERVICE_NAME.",
            )
        )
    elif is_unknown(service.profiles):
        findings.append(
            problem(
                "service-has-no-name",
                f"Traces and profiles go under {service.profiles!r}, as every service "
                "without a name.",
                "Set OTEL_SERVICE_NAME, or application_name (PYROSCOPE_APPLICATION_NAME).",
            )
        )
    namespace = service_namespaces(tags, resource)
    if namespace.differ:
        findings.append(
            problem(
                "namespaces-differ",
                f"Profiles have service_namespace {namespace.profiles!r}, traces have "
                f"service.namespace {namespace.traces!r}: the link from a span finds no profile.",
                "Leave the tag service_namespace out where pyroscope_otel.configure or a "
                "middleware starts the agent: it is then added. Give it to pyroscope.configure "
                "where the application calls that.",
            )
        )
    return findings or [
        fine("names-match", f"Traces and profiles go under the same name, {service.profiles!r}.")
    ]
