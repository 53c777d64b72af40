"""A pytest plugin that makes a root span for each test. Only below `pyroscope-otel run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Status, StatusCode

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ("pytest_runtest_logreport", "pytest_runtest_protocol")

# The attribute for a test's id in OpenTelemetry's semantic conventions.
_NAME = "test.case.name"


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, None, None]:
    """Run a test, with its fixtures, in a root span.

    The span is named after the test without its parameters, so that the cases of a test can
    be compared.
    """
    name = item.nodeid.partition("[")[0]
    tracer = trace.get_tracer(__name__)
    with tracer.start_as_current_span(name, Context(), attributes={_NAME: item.nodeid}):
        yield


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Mark the span of a test that fails."""
    if report.failed:
        # If another process runs the test, no recording span is current here.
        trace.get_current_span().set_status(Status(StatusCode.ERROR, report.outcome))
