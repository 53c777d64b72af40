"""Compares the names of traces and profiles.

Grafana's link from a span queries for profiles whose labels `service_name` and
`service_namespace` equal the span's resource attributes. It finds nothing if they differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pyroscope_otel.setup.findings.finding import Finding, fine, problem

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN_SERVICE = "unknown_service"
"""The prefix of OpenTelemetry's default `service.name`."""

DOCTOR_SERVICE = "pyroscope-otel-doctor"
"""The service name of the doctor's own profiles and spans."""

DOCTOR_ATTRIBUTE = "pyroscope_otel.doctor"
"""The resource attribute of an application that the doctor has loaded."""

HELD_ATTRIBUTE = "pyroscope_otel.held"
"""The attribute of a span that says how long a request was held after its root span had ended.
Its value is the request's profile id. `pyroscope-otel run` and the demo send such spans to the
local server, which stores the end and not the span."""


class Names(NamedTuple):
    """Two names that should be equal.

    Attributes:
        profiles: The label of the profiles, or None if they have none.
        traces: The resource attribute. If the resource has none, nothing contradicts the
            label, and this equals it.
    """

    profiles: str | None
    traces: str | None

    @property
    def differ(self) -> bool:
        """Whether they differ, so that the link finds nothing."""
        return self.profiles != self.traces


def judge_names(
    application_name: str, tags: Mapping[str, str], resource: Mapping[str, Any]
) -> list[Finding]:
    """Compare the labels of the profiles with the resource of the traces.

    Args:
        application_name: The application name passed to the agent.
        tags: The tags passed to the agent. The tag `service_name` overrides the name.
        resource: The resource attributes of the tracer provider.
    """
    service = service_names(application_name, tags, resource)
    findings = []
    if service.differ:
        findings.append(
            problem(
                "names-differ",
                f"Profiles have service_name {service.profiles!r}, traces have service.name "
                f"{service.traces!r}: Grafana's link from a trace finds no profile.",
                "Leave application_name (PYROSCOPE_APPLICATION_NAME) out, so that it is taken from "
                "service.name, or give both the same value. service.name is in the resource that "
                "the application's code makes; if that has none, it is OTEL_SERVICE_NAME.",
            )
        )
    elif is_unknown(service.profiles):
        findings.append(
            problem(
                "service-has-no-name",
                f"The service has no name: traces and profiles go under {service.profiles!r}.",
                "Set OTEL_SERVICE_NAME, or application_name (PYROSCOPE_APPLICATION_NAME).",
            )
        )
    namespace = service_namespaces(tags, resource)
    if namespace.differ:
        findings.append(
            problem(
                "namespaces-differ",
                f"Profiles have service_namespace {namespace.profiles!r}, traces have "
                f"service.namespace {namespace.traces!r}: Grafana's link from a trace finds no "
                "profile.",
                "Leave the tag service_namespace out: it is added. Only where the application "
                "calls pyroscope.configure itself, give it the tag there.",
            )
        )
    return findings or [
        fine("names-match", f"Traces and profiles go under the same name, {service.profiles!r}.")
    ]


def service_names(
    application_name: str, tags: Mapping[str, str], resource: Mapping[str, Any]
) -> Names:
    """Return `service_name` of the profiles and `service.name` of the traces."""
    return _names("service_name", {"service_name": application_name, **tags}, resource)


def service_namespaces(tags: Mapping[str, str], resource: Mapping[str, Any]) -> Names:
    """Return `service_namespace` of the profiles and `service.namespace` of the traces."""
    return _names("service_namespace", tags, resource)


def is_unknown(name: object) -> bool:
    """Return whether a service name is OpenTelemetry's default."""
    return str(name).startswith(UNKNOWN_SERVICE)


def _names(label: str, labels: Mapping[str, str], resource: Mapping[str, Any]) -> Names:
    profiles = labels.get(label)
    return Names(profiles, resource.get(label.replace("_", "."), profiles))
