"""The names that traces and profiles go under.

Grafana's link from a span asks for the profiles whose labels `service_name` and
`service_namespace` equal the resource's attributes, and finds nothing otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN_SERVICE = "unknown_service"
"""How OpenTelemetry's default for `service.name` begins."""

DOCTOR_SERVICE = "pyroscope-otel-doctor"
"""The service that the doctor's own profiles and spans go under, not the application's."""

DOCTOR_ATTRIBUTE = "pyroscope_otel.doctor"
"""The resource attribute of an application that only the doctor sends requests to."""


class Names(NamedTuple):
    """Two names that should be one.

    Attributes:
        profiles: The profiles' label; None without one.
        traces: The resource's attribute. Where it has none, nothing contradicts
            the label, and it is that.
    """

    profiles: str | None
    traces: str | None

    @property
    def differ(self) -> bool:
        """Whether the link finds nothing."""
        return self.profiles != self.traces


def service_names(
    application_name: str, tags: Mapping[str, str], resource: Mapping[str, Any]
) -> Names:
    """Return `service_name` of the profiles and `service.name` of the traces."""
    return _names("service_name", {"service_name": application_name, **tags}, resource)


def service_namespaces(tags: Mapping[str, str], resource: Mapping[str, Any]) -> Names:
    """Return `service_namespace` of the profiles and `service.namespace` of the traces."""
    return _names("service_namespace", tags, resource)


def is_unknown(name: object) -> bool:
    """Return whether a service's name is what OpenTelemetry calls one without a name."""
    return str(name).startswith(UNKNOWN_SERVICE)


def _names(label: str, labels: Mapping[str, str], resource: Mapping[str, Any]) -> Names:
    profiles = labels.get(label)
    return Names(profiles, resource.get(label.replace("_", "."), profiles))
