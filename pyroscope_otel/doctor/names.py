"""Checks that traces and profiles go under the same names.

Grafana's link from a span asks for the profiles whose labels `service_name` and
`service_namespace` equal the resource's attributes, and finds nothing otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroscope_otel.doctor.finding import Finding, fine, problem
from pyroscope_otel.tracing import UNKNOWN_SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_names(
    application_name: str, tags: Mapping[str, str], resource: Mapping[str, Any]
) -> list[Finding]:
    """Compare the profiles' labels with the traces' resource."""
    label = tags.get("service_name", application_name)
    name = resource.get("service.name", label)
    findings = []
    if label != name:
        findings.append(
            problem(
                "names-differ",
                f"Profiles have service_name {label!r}, traces have service.name {name!r}: the "
                "link from a span finds no profile.",
                "Set application_name (PYROSCOPE_APPLICATION_NAME) and OTEL_SERVICE_NAME to the "
                "same, or leave the former out: it is taken from the latter.",
            )
        )
    elif label.startswith(UNKNOWN_SERVICE):
        findings.append(
            problem(
                "service-has-no-name",
                f"Traces and profiles go under {label!r}, as every service without a name.",
                "Set OTEL_SERVICE_NAME, or application_name (PYROSCOPE_APPLICATION_NAME).",
            )
        )
    label_namespace = tags.get("service_namespace")
    namespace = resource.get("service.namespace")
    if namespace is not None and label_namespace != namespace:
        findings.append(
            problem(
                "namespaces-differ",
                f"Profiles have service_namespace {label_namespace!r}, traces have "
                f"service.namespace {namespace!r}: the link from a span finds no profile.",
                "Leave the tag service_namespace out where pyroscope_otel.configure or a "
                "middleware starts the agent: it is then added. Give it to pyroscope.configure "
                "where the application calls that.",
            )
        )
    return findings or [
        fine("names-match", f"Traces and profiles go under the same name, {label!r}.")
    ]
