"""Fixtures for the journal of one request. A `conftest.py` imports those that it needs."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import pyroscope_otel
from tests.support.journal import Journal


@pytest.fixture
def journal(recorder, exporter):
    """Return the journal. What it starts ends with the test."""
    journal = Journal(recorder, exporter)
    yield journal
    journal.pool.shutdown()


@pytest.fixture
def provider(exporter, journal):
    """Return the application's tracer provider, which exports and does not know us."""
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(journal.starts)
    yield provider
    provider.shutdown()


@pytest.fixture
def settings(provider, journal):  # noqa: ARG001  the journal has the recorder
    """Return settings for a middleware, and undo what it configures after the test.

    The recorder acts as a running agent, which is then used as it is.
    """
    yield {"application_name": "shop", "tracer_provider": provider}
    assert pyroscope_otel.shutdown()
