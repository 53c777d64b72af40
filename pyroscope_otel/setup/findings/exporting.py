"""Finds out whether spans leave the process, and where they go.

They go through the exporters that a tracer provider has. Before there is a provider, they
are the exporters that the environment variables ask for, found the way the SDK finds them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NamedTuple

from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from pyroscope_otel.setup.findings.finding import Finding, fine, note, problem
from pyroscope_otel.setup.setting_kinds import mask_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTERS = "OTEL_TRACES_EXPORTER"
_GROUP = "opentelemetry_traces_exporter"
"""The entry point group in which the OpenTelemetry SDK looks for span exporters."""

_OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""The OTLP exporters by protocol, in order of preference."""

_PACKAGES = {
    "otlp_proto_http": "opentelemetry-exporter-otlp-proto-http",
    "otlp_proto_grpc": "opentelemetry-exporter-otlp-proto-grpc",
}
_STAY_HERE = ("ConsoleSpanExporter", "InMemorySpanExporter")


@dataclass
class Asked:
    """What the environment variables ask for.

    Attributes:
        exporters: The span exporter classes, by entry point name.
        findings: What is wrong with the variables.
    """

    exporters: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


class Exporter(NamedTuple):
    """The class name and the destination of a span exporter, without credentials."""

    kind: str
    endpoint: str = ""

    def __str__(self) -> str:
        return f"{self.kind} to {self.endpoint}" if self.endpoint else self.kind

    @property
    def stays_here(self) -> bool:
        """Whether it only displays spans in this process and sends them to no trace store."""
        return self.kind in _STAY_HERE


class Exports(NamedTuple):
    """How spans leave a tracer provider.

    Attributes:
        exporters: The provider's exporters.
        others: The names of its other span processors, which may also send spans.
    """

    exporters: tuple[Exporter, ...]
    others: tuple[str, ...]


def find_exporter(name: str) -> Any | None:
    """Return the exporter class with an entry point name, or None if it cannot be loaded."""
    entry_point = next(iter(entry_points(group=_GROUP, name=name)), None)
    # The exporter's own imports may be missing.
    with suppress(ImportError, AttributeError):
        return None if entry_point is None else entry_point.load()
    return None


def exporters_asked_for(
    environ: Mapping[str, str], find: Callable[[str], Any | None] = find_exporter
) -> Asked:
    """Return the exporters that the environment asks for and that are installed.

    `OTEL_TRACES_EXPORTER` and the protocol variables are read as the OpenTelemetry SDK reads
    them, with two differences. An OTLP endpoint alone asks for `otlp`, as it does with
    `opentelemetry-distro`. Without a protocol, `otlp` means the installed OTLP exporter, and
    the HTTP one if both are installed.

    Args:
        environ: The environment variables.
        find: Returns the exporter class with an entry point name.
    """
    listed = _variable(environ, _EXPORTERS)
    has_endpoint = bool(_variable(environ, *_ENDPOINTS))
    if not listed and not has_endpoint:
        return Asked(findings=[_no_endpoint()])
    if listed.lower() == "none":
        return Asked(findings=[_switched_off(listed, has_endpoint=has_endpoint)])
    asked = Asked()
    protocol = _variable(environ, *_PROTOCOLS)
    for name in dict.fromkeys(map(str.strip, (listed or "otlp").split(","))):
        if name == "otlp" and protocol and protocol not in _OTLP:
            asked.findings.append(_unknown_protocol(protocol))
            continue
        candidates = _candidates(name, protocol)
        found = next(((one, kind) for one in candidates if (kind := find(one))), None)
        if found is None:
            asked.findings.append(_missing(candidates, listed))
        else:
            asked.exporters[found[0]] = found[1]
    return asked


def _candidates(name: str, protocol: str) -> list[str]:
    if name != "otlp":
        return [name]
    return [_OTLP[protocol]] if protocol else [*_OTLP.values()]


def _no_endpoint() -> Finding:
    return note(
        "traces-no-endpoint",
        "No OTLP endpoint is set: unless the application has an exporter of its own, traces go "
        "nowhere.",
        "Set OTEL_EXPORTER_OTLP_ENDPOINT, such as http://localhost:4318, and install an "
        f"exporter: pip install {_PACKAGES['otlp_proto_http']}.",
    )


def _switched_off(listed: str, *, has_endpoint: bool) -> Finding:
    summary = f"{_EXPORTERS} is {listed!r}: traces go nowhere"
    remedy = f"Unset {_EXPORTERS}, or set it to otlp."
    if has_endpoint:
        summary += ", though an OTLP endpoint is set"
        return problem("traces-exporter-off", f"{summary}.", remedy)
    return note("traces-exporter-off", f"{summary}.", remedy)


def _unknown_protocol(protocol: str) -> Finding:
    return problem(
        "traces-protocol-unknown",
        f"The OTLP protocol is set to {protocol!r}, for which OpenTelemetry for Python has no "
        "exporter: no trace goes there.",
        f"Set {_PROTOCOLS[1]} to {' or '.join(_OTLP)}.",
    )


def _missing(candidates: Iterable[str], listed: str) -> Finding:
    packages = [_PACKAGES[name] for name in candidates if name in _PACKAGES]
    if not packages:
        (name,) = candidates
        return problem(
            "traces-exporter-missing",
            f"{_EXPORTERS} asks for {name!r}, and no exporter of this name is installed: no trace "
            "goes there.",
            f"Install the package that brings it, or correct {_EXPORTERS}.",
        )
    if listed:
        summary = f"{_EXPORTERS} is {listed!r}, but no OTLP exporter for it is installed"
    else:
        summary = "An OTLP endpoint is set, but no OTLP exporter for it is installed"
    return problem(
        "traces-exporter-missing",
        f"{summary}: no trace goes there.",
        f"pip install {packages[0]}"
        + (f", or {packages[1]} with {_PROTOCOLS[1]}=grpc." if packages[1:] else "."),
    )


def span_processors(provider: Any) -> tuple[Any, ...]:
    """Return a provider's span processors, as far as they are accessible."""
    registered = getattr(provider, "_active_span_processor", None)
    processors = getattr(registered, "_span_processors", None)
    return processors if isinstance(processors, tuple) else ()


def exports_of(provider: Any) -> Exports | None:
    """Return how spans leave a provider, or None if it is not built like the SDK's."""
    if not hasattr(provider, "_active_span_processor"):
        return None
    exporters, others = [], []
    for processor in span_processors(provider):
        exporter = getattr(processor, "span_exporter", None)
        if exporter is not None:
            exporters.append(describe_exporter(exporter))
        elif not isinstance(processor, PyroscopeSpanProcessor):
            others.append(type(processor).__name__)
    return Exports(tuple(exporters), tuple(others))


def describe_exporter(exporter: Any) -> Exporter:
    """Return an exporter's class name and destination, without credentials."""
    endpoint = str(getattr(exporter, "_endpoint", "") or "")
    return Exporter(type(exporter).__name__, mask_address(endpoint).strip("'"))


def judge_exports(exports: Exports | None) -> list[Finding]:
    """Report where a provider's spans go.

    Args:
        exports: See `exports_of`.
    """
    if exports is None:
        return []
    away = [one for one in exports.exporters if not one.stays_here]
    if away:
        return [fine("traces-exported", f"Spans go by {', '.join(map(str, away))}.")]
    if exports.others:
        return [
            note(
                "traces-exporter-unknown",
                "No exporter sends the spans away; cannot tell whether another span processor "
                f"does: {', '.join(sorted(exports.others))}.",
            )
        ]
    if exports.exporters:
        return [stays_here(one) for one in exports.exporters]
    return [
        problem(
            "traces-no-exporter",
            "The tracer provider has no exporter: traces do not arrive, and nothing leads to "
            "profiles.",
            "If the application makes its tracer provider itself, add a BatchSpanProcessor with "
            "an exporter to it. Else set OTEL_EXPORTER_OTLP_ENDPOINT, and have an exporter "
            f"installed: pip install {_PACKAGES['otlp_proto_http']}.",
        )
    ]


def judge_exporting(provider: Any | None, environ: Mapping[str, str]) -> list[Finding]:
    """Report whether spans leave the process.

    Args:
        provider: The tracer provider. None if it is yet to be made; it will then get the
            exporters that the environment asks for.
        environ: The environment variables.
    """
    if provider is None:
        return exporters_asked_for(environ).findings
    return judge_exports(exports_of(provider))


def stays_here(exporter: Exporter) -> Finding:
    """Report that an exporter reaches no trace store."""
    return note(
        "traces-stay-here",
        f"The {exporter} shows spans where they are made; they reach no trace store.",
    )


def _variable(environ: Mapping[str, str], *names: str) -> str:
    return next(filter(None, (environ.get(name, "").strip() for name in names)), "")
