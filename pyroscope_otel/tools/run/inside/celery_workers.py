"""Uploads the last samples of Celery's pool processes, which exit without exit handlers."""

from __future__ import annotations

from typing import Any

from pyroscope_otel.link import failure
from pyroscope_otel.setup import configuration, tracing
from pyroscope_otel.tools.run.inside.imports import when_imported

__all__ = ("flush_when_they_end",)


def flush_when_they_end() -> None:
    """If Celery is used, flush profiles and spans when a pool process ends."""
    when_imported("celery.signals", _connect)


def _connect() -> None:
    try:
        from celery.signals import worker_process_shutdown  # type: ignore[import-untyped]

        worker_process_shutdown.connect(_flush, weak=False)
    except Exception:
        failure.report("wait for the end of Celery's processes")


def _flush(**_named: Any) -> None:
    configuration.flush()
    flush_spans = getattr(tracing.provider_in_use(), "force_flush", None)
    if flush_spans is not None:
        flush_spans()
