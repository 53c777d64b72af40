"""Tracer providers with and without spans."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    ParentBasedTraceIdRatio,
    TraceIdRatioBased,
)

from pyroscope_otel.setup.findings.finding import Level
from pyroscope_otel.setup.findings.spans import judge_spans


def provider(sampler=ALWAYS_ON):
    return TracerProvider(sampler=sampler, shutdown_on_exit=False)


def codes(provider, environ=None):
    findings = judge_spans(provider, environ or {})
    assert {one.level for one in findings} <= {Level.PROBLEM}
    return [one.code for one in findings]


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, TraceIdRatioBased(0)])
def test_sampler_that_takes_no_trace(sampler):
    assert codes(provider(sampler)) == ["sampler-drops-all"]


@pytest.mark.parametrize(
    "sampler",
    [
        ALWAYS_ON,
        TraceIdRatioBased(0.01),
        ParentBasedTraceIdRatio(0.5),
        # They take the traces that the caller has sampled.
        ParentBased(ALWAYS_OFF),
        ParentBasedTraceIdRatio(0),
    ],
)
def test_sampler_that_takes_some_traces(sampler):
    assert codes(provider(sampler)) == []


@pytest.mark.parametrize("value", ["true", " TRUE "])
def test_disabled_sdk_is_the_only_finding(value):
    disabled = {"OTEL_SDK_DISABLED": value}
    for one in (None, provider(ALWAYS_OFF), trace.NoOpTracerProvider()):
        assert codes(one, disabled) == ["sdk-disabled"]


@pytest.mark.parametrize("value", ["", "false", "1"])
def test_sdk_is_not_disabled(value):
    assert codes(provider(), {"OTEL_SDK_DISABLED": value}) == []


def test_provider_without_spans():
    assert codes(trace.NoOpTracerProvider()) == ["provider-without-spans"]


@pytest.mark.parametrize("unknown", [None, object()])
def test_provider_of_an_unknown_class(unknown):
    assert codes(unknown) == []
