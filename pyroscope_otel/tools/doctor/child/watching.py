"""Watches what an application sets up: tracer providers, spans, and the agent.

The watchers are installed before the application is loaded, and only in the doctor's child.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import secrets
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyroscope
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from pyroscope_otel.relay import agent_start
from pyroscope_otel.setup import configuration
from pyroscope_otel.setup.findings.exporting import exports_of, span_processors
from pyroscope_otel.setup.findings.spans import describe_sampler
from pyroscope_otel.setup.settings import SettingsError, read_settings
from pyroscope_otel.setup.tracing import resource_attributes
from pyroscope_otel.setup.uploads import UPLOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from pyroscope_otel.relay.relay import Relay
    from pyroscope_otel.setup.settings import Settings

_MAX_ROOTS = 200
_TRIED_TRACES = 10_000


class _Observer(SpanProcessor):
    """Records the local root spans of one provider in the order of their starts."""

    def __init__(self, spans: list[tuple[int, Span]], provider_index: int) -> None:
        self._spans = spans
        self._provider_index = provider_index

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002  the protocol's
        is_local_root = span.parent is None or span.parent.is_remote
        if is_local_root and len(self._spans) < _MAX_ROOTS:
            self._spans.append((self._provider_index, span))


class Providers:
    """Watches all SDK tracer providers in this process, and their spans."""

    def __init__(self) -> None:
        self.known: list[Any] = []
        self.spans: list[tuple[int, Span]] = []
        self._wrap_constructor()
        # Zero-code instrumentation sets one before this runs.
        provider = trace.get_tracer_provider()
        if isinstance(provider, TracerProvider):
            self._take(provider)

    def facts(self) -> list[dict[str, Any]]:
        """Return what is known about each provider."""
        return [
            {
                "is_global": provider is trace.get_tracer_provider(),
                "has_processor": any(
                    isinstance(one, PyroscopeSpanProcessor) for one in span_processors(provider)
                ),
                "foreign_processors": [
                    f"{type(one).__module__}.{type(one).__name__}"
                    for one in span_processors(provider)
                    if type(one).__name__ == PyroscopeSpanProcessor.__name__
                    and not isinstance(one, PyroscopeSpanProcessor)
                ],
                "other_processors": _other_processors(provider),
                "sampler": describe_sampler(provider),
                "dropped": _dropped(provider),
                "resource": {
                    name: str(resource_attributes(provider)[name])
                    for name in ("service.name", "service.namespace")
                    if name in resource_attributes(provider)
                },
            }
            for provider in self.known
        ]

    def span_facts(self, since: int, until: int) -> list[dict[str, Any]]:
        """Return what is known about `spans[since:until]`."""
        return [_span_facts(index, span) for index, span in self.spans[since:until]]

    def _wrap_constructor(self) -> None:
        construct = TracerProvider.__init__

        @functools.wraps(construct)
        def constructed(provider: TracerProvider, *arguments: Any, **named: Any) -> None:
            construct(provider, *arguments, **named)
            self._take(provider)

        TracerProvider.__init__ = constructed  # type: ignore[assignment,method-assign]

    def _take(self, provider: TracerProvider) -> None:
        provider.add_span_processor(_Observer(self.spans, len(self.known)))
        self.known.append(provider)


def _other_processors(provider: Any) -> list[str]:
    exports = exports_of(provider)
    return [] if exports is None else [one for one in exports.others if one != _Observer.__name__]


def _dropped(provider: Any) -> int:
    """Return how many of `_TRIED_TRACES` new traces the provider's sampler drops."""
    sampler = getattr(provider, "sampler", None)
    if sampler is None:
        return 0
    decisions = [
        sampler.should_sample(None, secrets.randbits(128), "doctor", trace.SpanKind.SERVER)
        for _ in range(_TRIED_TRACES)
    ]
    return sum(not decision.decision.is_sampled() for decision in decisions)


def _span_facts(provider_index: int, span: ReadableSpan) -> dict[str, Any]:
    return {
        "provider": provider_index,
        "name": span.name,
        "made_by": span.instrumentation_scope.name if span.instrumentation_scope else "",
        "is_server": span.kind is trace.SpanKind.SERVER,
        "profile_id": (span.attributes or {}).get("pyroscope.profile.id"),
    }


class SwitchedOff:
    """Watches for settings that switch the package off.

    Attributes:
        settings: Those settings, or None.
    """

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self._keep({})  # Without code, only the environment counts.
        configuration.apply = self._wrapped(configuration.apply)

    def _keep(self, arguments: Mapping[str, object], *framework: Any) -> None:
        named = dict(zip(("framework", "framework_name"), framework, strict=False))
        with contextlib.suppress(SettingsError):  # The application's own call raises it.
            settings = read_settings(arguments, **named)
            self.settings = None if settings.enabled else settings

    def _wrapped(self, apply: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(apply)
        def kept(*arguments: Any, **named: Any) -> Any:
            bound = inspect.signature(apply).bind(*arguments, **named)
            bound.apply_defaults()
            self._keep(*list(bound.arguments.values())[:3])
            return apply(*arguments, **named)

        return kept


class AgentStarts:
    """Watches `pyroscope.configure`, and redirects the agent's pushes.

    The doctor's requests must not show up in the application's own profiles.

    Args:
        address: The address to push to instead.
    """

    def __init__(self, address: str) -> None:
        self.arguments: list[dict[str, Any]] = []
        self._address = address
        self._relay: Relay | None = None
        pyroscope.configure = self._wrapped(pyroscope.configure)

    def last_start_differs(self, arguments: dict[str, Any] | None) -> bool:
        """Return whether the last start had other arguments than these, None for no start."""
        if not self.arguments:
            return False
        return {**self.arguments[-1], "result": None} != {**(arguments or {}), "result": None}

    def facts(self) -> list[dict[str, Any]]:
        """Return the arguments of each start, without secrets."""
        return [
            {
                "application_name": arguments.get("application_name"),
                "tags": dict(arguments.get("tags") or {}),
                "sample_rate": arguments.get("sample_rate") or 100,
                "gil_only": arguments.get("gil_only", True) is not False,
                "oncpu": arguments.get("oncpu", True) is not False,
                "cpu_implementation": _member(arguments.get("cpu_implementation", "PySpy")),
                "result": str(arguments["result"]),
            }
            for arguments in self.arguments
        ]

    def remember_relay(self) -> None:
        """Remember the running agent's relay, so that `upload_facts` can read it at the end."""
        self._relay = agent_start._process.relay  # noqa: SLF001  it has no public name

    def upload_facts(self) -> dict[str, Any]:
        """Return the agent's sampler and the state of its relay."""
        return {
            "sampler": UPLOADS.sampler,
            "is_chosen": UPLOADS.attribution == "thread",
            "state": None if self._relay is None else asdict(self._relay.state()),
        }

    def _wrapped(self, configure: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(configure)
        def redirected(*arguments: Any, **named: Any) -> Any:
            given = inspect.signature(configure).bind(*arguments, **named).arguments
            ours = {**given, "server_address": self._address}
            # Credentials are not needed here.
            for name in ("basic_auth_username", "basic_auth_password", "http_headers", "tenant_id"):
                ours.pop(name, None)
            started: dict[str, Any] = {**given, "result": None}
            self.arguments.append(started)
            started["result"] = configure(**ours)
            return started["result"]

        return redirected


def _member(value: object) -> str:
    """Return the name of a `pyroscope` enumeration member. These have no `name` attribute."""
    return str(value).rpartition(".")[2]
