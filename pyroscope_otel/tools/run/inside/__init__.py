"""Sets up a Python process below `pyroscope-otel run` when it starts.

Like `opentelemetry-instrument`, but without a distribution, it sets up a tracer provider and
the installed instrumentations, and then this package without code. Failures are logged, and
the program runs without profiles.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from pyroscope_otel import zero_code
from pyroscope_otel.link import failure
from pyroscope_otel.setup import tracing
from pyroscope_otel.tools.run.inside import adopting, instrumentations, whole_run
from pyroscope_otel.tools.run.inside.celery_workers import flush_when_they_end
from pyroscope_otel.tools.run.inside.export_on_demand import ExportOnDemand
from pyroscope_otel.tools.run.inside.held_requests import export_ends
from pyroscope_otel.tools.run.inside.notes import note, say
from pyroscope_otel.tools.run.inside.program import program_of

if TYPE_CHECKING:
    from pyroscope_otel.tools.run.inside.program import Program

__all__ = ("LOADED", "set_up")

LOADED = "loaded"
"""The note that one of the command's Python processes has started the set-up."""

_SAMPLER = "PYROSCOPE_CPU_IMPLEMENTATION"
_PLUGIN = "pyroscope_otel.tools.run.inside.pytest_plugin"


def set_up() -> None:
    """Set up this process. It never raises."""
    try:
        _set_up()
    except Exception:
        failure.report("set up a process below `pyroscope-otel run`")


def _set_up() -> None:
    note(LOADED)
    _report_missing_exporter()
    program = program_of(sys.orig_argv)
    _choose_sampler(program)
    exporting = ExportOnDemand()
    if program.is_script or program.is_pytest:
        exporting.make()
    is_ours = tracing.provider_in_use() is None
    if is_ours:
        provider = TracerProvider()
        provider.add_span_processor(exporting)
        trace.set_tracer_provider(provider)
        if _goes_to_the_local_server():
            export_ends(exporting.on_end)
    instrumentations.load()
    zero_code.start()
    flush_when_they_end()
    _add_pytest_plugin()
    if is_ours:
        adopting.adopt_application_provider(provider, exporting)
        whole_run.begin_if_wanted(program, exporting)


def _goes_to_the_local_server() -> bool:
    """Return whether traces go where profiles go: only the local server takes both."""
    profiles = os.environ.get("PYROSCOPE_SERVER_ADDRESS")
    return os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == f"{profiles}/v1/traces"


def _report_missing_exporter() -> None:
    if os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") != "http/protobuf":
        return  # The user sends traces elsewhere.
    name = "opentelemetry.exporter.otlp.proto.http"
    try:
        is_there = importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the parent package is missing
        is_there = False
    if not is_there and note("no-exporter"):
        say(
            f"No requests from {sys.executable}: it has no exporter for traces. Needed: "
            f"{sys.executable} -m pip install opentelemetry-exporter-otlp-proto-http"
        )


def _choose_sampler(program: Program) -> None:
    """Choose PySpy if spans are made current by hand: the sampler Stack does not see those.

    `auto` looks at the first root span alone, which may be a request that a test makes.
    """
    if program.has_spans_by_hand and not os.environ.get(_SAMPLER):
        os.environ[_SAMPLER] = "pyspy"


def _add_pytest_plugin() -> None:
    plugins = [name for name in os.environ.get("PYTEST_PLUGINS", "").split(",") if name]
    if _PLUGIN not in plugins:
        os.environ["PYTEST_PLUGINS"] = ",".join([*plugins, _PLUGIN])
