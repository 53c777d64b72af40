"""Watches the exporters of tracer providers: their destinations and their results."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any

from pyroscope_otel.setup.findings.exporting import describe_exporter, span_processors
from pyroscope_otel.tools.doctor.masking import Mask, secrets_of_address, secrets_of_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_MAX_MESSAGES = 2


class _Complaints(logging.Handler):
    """Collects OpenTelemetry's log messages about failed exports."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            message = f"{message}: {record.exc_info[1]}"
        if len(self.messages) < _MAX_MESSAGES:
            self.messages.append(message)


class ExporterWatch:
    """Records what exporters return for the spans that they get."""

    def __init__(self) -> None:
        self._complaints = _Complaints()
        logging.getLogger("opentelemetry.exporter").addHandler(self._complaints)
        self._watched: list[tuple[Any, list[str]]] = []

    def watch(self, providers: Iterable[Any]) -> None:
        """Watch the exporters that the providers have now."""
        for processor in itertools.chain.from_iterable(map(span_processors, providers)):
            exporter = getattr(processor, "span_exporter", None)
            if exporter is None or any(exporter is one for one, _ in self._watched):
                continue
            results: list[str] = []
            exporter.export = _recorded(exporter.export, results)
            self._watched.append((exporter, results))

    def facts(self) -> list[dict[str, object]]:
        """Return what is known about each exporter, without credentials."""
        return [
            {
                "type": described.kind,
                "endpoint": described.endpoint,
                "results": [mask(result) for result in results],
                "complaints": [mask(message) for message in self._complaints.messages],
            }
            for exporter, results in self._watched
            for described in [describe_exporter(exporter)]
            for mask in [Mask(_secrets(exporter))]
        ]


def _secrets(exporter: Any) -> Iterator[str]:
    """Yield the credentials that the application's code passed to its exporter."""
    yield from secrets_of_address(str(getattr(exporter, "_endpoint", "") or ""))
    headers = getattr(exporter, "_headers", None) or ()
    pairs = headers.items() if isinstance(headers, dict) else headers
    for _, value in pairs:
        yield from secrets_of_header(str(value))


def _recorded(export: Callable[[Any], Any], results: list[str]) -> Callable[[Any], Any]:
    def recorded(spans: Any) -> Any:
        try:
            result = export(spans)
        except Exception as error:
            results.append(f"{type(error).__name__}: {error}")
            raise
        results.append(getattr(result, "name", str(result)))
        return result

    return recorded
