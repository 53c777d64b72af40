"""Fixtures for the journal of one request: a `conftest.py` imports those that it wants."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import pyroscope_otel
from tests.support.journal import Journal


@pytest.fixture
def journal(recorder, exporter):
    """The journal; what it starts ends with the test."""
    journal = Journal(recorder, exporter)
    yield journal
    journal.pool.shutdown()


@pytest.fixture
def provider(exporter, journal):
    """The application's tracer provider: it exports, and knows nothing of us."""
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(journal.starts)
    yield provider
    provider.shutdown()


@pytest.fixture
def settings(provider, journal):  # noqa: ARG001  the journal has the recorder
    """Settings for a middleware. What it configures is taken out after the test.

    The recorder answers as a running agent does, which is then used as it is.
    """
    yield {"application_name": "shop", "tracer_provider": provider}
    assert pyroscope_otel.shutdown()
