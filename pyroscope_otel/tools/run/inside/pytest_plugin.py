"""A pytest plugin: one root span for each test. Only below `pyroscope-otel run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Status, StatusCode

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ("pytest_runtest_logreport", "pytest_runtest_protocol")

# The test's own id, as OpenTelemetry's semantic conventions have it.
_NAME = "test.case.name"


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, None, None]:
    """Run a test, with its fixtures, in a root span.

    The span is called after the test without its parameters, as the cases of one
    test are compared with each other.
    """
    name = item.nodeid.partition("[")[0]
    tracer = trace.get_tracer(__name__)
    with tracer.start_as_current_span(name, Context(), attributes={_NAME: item.nodeid}):
        yield


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Mark the span of a test that fails."""
    if report.failed:
        # Where tests run in other processes and are reported here, none is current.
        trace.get_current_span().set_status(Status(StatusCode.ERROR, report.outcome))
