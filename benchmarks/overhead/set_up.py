"""Sets up tracing and profiling in a measured process, for each variant.

The agent runs in every measured process, so that only the link between traces and profiles is
compared.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import pyroscope
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIANTS = {
    "none": "tracing only",
    "released": "1.1.0",
    "direct": "ours in direct mode",
    "hand": "ours by hand",
    "middleware": "ours as middleware",
}

Setting = dict[str, Any]
"""The setting of a measured process: `variant`, `released` (the file of 1.1.0's module),
`server` (the address that the agent pushes to), `sampler`, `memory`, and the entries of the
measurement."""


def agent_settings(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the agent, which our package and the agent both accept."""
    settings = {
        "application_name": "overhead",
        "server_address": setting["server"],
        "sample_rate": 100,
        # As often as possible, so that pushes happen during the measurement.
        "upload_interval": setting.get("upload_interval", 1),
        "mem_enabled": setting["memory"],
    }
    samplers = pyroscope.ProfilerImplementation
    # Set in every variant: `auto` would only choose for the middleware.
    settings["cpu_implementation"] = {"pyspy": samplers.PySpy, "stack": samplers.Stack}[
        setting["sampler"]
    ]
    return settings


def trace_spans() -> TracerProvider:
    """Trace with a processor that does nothing, as every variant has a processor."""
    provider = TracerProvider(resource=Resource.create({"service.name": "overhead"}))
    provider.add_span_processor(SpanProcessor())
    trace.set_tracer_provider(provider)
    return provider


def profile_by_hand(setting: Mapping[str, Any], provider: TracerProvider) -> None:
    """Start the agent, and add the variant's span processor if it has one."""
    variant = setting["variant"]
    if variant == "hand":
        import pyroscope_otel  # noqa: F401  before the agent starts, as documented
    pyroscope.configure(**agent_settings(setting))
    processor = _span_processor(setting)
    if processor is not None:
        provider.add_span_processor(processor)


def _span_processor(setting: Mapping[str, Any]) -> SpanProcessor | None:
    if setting["variant"] == "none":
        return None
    if setting["variant"] == "released":
        # The module has the same import path as ours and is not installed, so load it by file.
        spec = importlib.util.spec_from_file_location("released", setting["released"])
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.PyroscopeSpanProcessor()
    from pyroscope_otel import PyroscopeSpanProcessor

    return PyroscopeSpanProcessor()
