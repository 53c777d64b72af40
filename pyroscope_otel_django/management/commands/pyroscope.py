"""`manage.py pyroscope`: shows the settings in force, their sources, and the agent's state."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.core.management.base import BaseCommand, CommandError

from pyroscope_otel import upload_state
from pyroscope_otel.link import thread_labels
from pyroscope_otel.setup import sampler, tracing
from pyroscope_otel.setup.findings.credentials import judge_credentials
from pyroscope_otel.setup.findings.exporting import exporters_asked_for, exports_of, judge_exporting
from pyroscope_otel.setup.findings.finding import Level
from pyroscope_otel.setup.findings.names import judge_names
from pyroscope_otel.setup.findings.profiling import judge_profiling, judge_visibility
from pyroscope_otel.setup.findings.spans import judge_spans
from pyroscope_otel.setup.findings.upload_state import agent_rows
from pyroscope_otel.setup.setting_table import TABLE
from pyroscope_otel.setup.settings import SettingsError
from pyroscope_otel.setup.uploads import UPLOADS
from pyroscope_otel_django.configuration import INSTRUMENT, SETTING, read, read_project
from pyroscope_otel_django.instrumentation import MIDDLEWARE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyroscope_otel.setup.findings.finding import Finding
    from pyroscope_otel.setup.settings import Settings

_OPENTELEMETRYS = "opentelemetry.instrumentation.django.middleware.otel_middleware"


class Command(BaseCommand):
    """Prints what a process that serves this project would do. Changes nothing."""

    help = "Shows the settings of pyroscope_otel_django, their sources, and the agent's state."
    # Users run it when something is wrong.
    requires_system_checks: list[str] = []  # noqa: RUF012  as Django declares it

    def handle(self, *_: Any, **__: Any) -> None:
        """Print the settings, the agent's state and the maker of the root spans.

        Raises:
            CommandError: If a setting is wrong.
        """
        try:
            settings = read()
            does_instrument = read_project().instrument
        except SettingsError as error:
            raise CommandError(str(error)) from error
        rows = [*_settings(settings), _instrument(does_instrument=does_instrument)]
        self._print("Settings", rows)
        self._print("Agent", _agent(settings))
        self._print("Tracing", _tracing(settings))
        findings = [one for one in _findings(settings) if one.level is not Level.FINE]
        self._print("Findings", [(one.line,) for one in findings] or [("none",)])

    def _print(self, title: str, rows: Iterable[tuple[str, ...]]) -> None:
        lines = list(rows)
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        self.stdout.write(self.style.MIGRATE_HEADING(title))
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self.stdout.write(f"  {'  '.join(cells)}".rstrip())


def _settings(settings: Settings) -> Iterator[tuple[str, str, str]]:
    for row in TABLE:
        yield row.name.upper(), settings.shown(row.name), settings.sources[row.name]


def _instrument(*, does_instrument: bool) -> tuple[str, str, str]:
    is_given = getattr(django_settings, SETTING, {}).get(INSTRUMENT) is not None
    source = f"Django setting {SETTING}[{INSTRUMENT!r}]" if is_given else "default"
    return INSTRUMENT, repr(does_instrument), source


def _agent(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "state", _agent_state(settings)
    if not settings.enabled:
        return
    if thread_labels.agent_is_running():
        state = upload_state()
        attribution = "thread" if state is None else "stack"
        yield from agent_rows(UPLOADS.sampler, attribution, state).items()
        return
    yield from agent_rows(
        sampler.choose(settings, holds_requests=True), settings.attribution, None
    ).items()
    if settings.attribution == "stack":
        yield (
            "uploads",
            "call pyroscope_otel.upload_state() in a serving process, as each has its own",
        )


def _agent_state(settings: Settings) -> str:
    if thread_labels.agent_is_running():
        return "running in this process"
    if not settings.enabled:
        return "switched off: no process starts it"
    when = "as soon as it is set up" if settings.start == "now" else "with its first request"
    return f"not in a management command; each serving process starts it {when}"


def _tracing(settings: Settings) -> Iterator[tuple[str, str]]:
    provider = tracing.provider_in_use(settings.tracer_provider)
    kind = type(provider)
    made = "none yet; one is made unless the project sets its own"
    yield "tracer provider", made if provider is None else f"{kind.__module__}.{kind.__qualname__}"
    yield "traces go to", _destination(provider)
    middleware = [*django_settings.MIDDLEWARE]
    yield "middleware", _position(middleware, MIDDLEWARE)
    theirs = next((one for one in middleware if one.startswith(_OPENTELEMETRYS)), None)
    yield (
        "root spans by",
        _position(middleware, theirs) if theirs else "something outside of Django",
    )


def _destination(provider: Any | None) -> str:
    if provider is None:
        return ", ".join(exporters_asked_for(os.environ).exporters) or "nowhere"
    exports = exports_of(provider)
    if exports is None:
        return "unknown"
    return ", ".join(map(str, exports.exporters)) or ", ".join(exports.others) or "nowhere"


def _findings(settings: Settings) -> list[Finding]:
    provider = tracing.provider_in_use(settings.tracer_provider)
    resource = tracing.resource_attributes(provider, settings.application_name)
    return [
        *judge_profiling(settings),
        *judge_visibility(settings),
        *judge_credentials(settings),
        *judge_spans(provider, os.environ),
        *judge_exporting(provider, os.environ),
        *judge_names(settings.application_name, settings.tags, resource),
    ]


def _position(middleware: list[str], name: str) -> str:
    if name not in middleware:
        return "not in MIDDLEWARE"
    return f"{name}, {middleware.index(name) + 1} of {len(middleware)} in MIDDLEWARE"
