"""The beginning of programs that call `configure`, each in its own process."""

from __future__ import annotations

BEGIN = """
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from pyroscope_otel.setup import agent
from pyroscope_otel.link import thread_labels
from pyroscope_otel.setup.configuration import apply, configure, shutdown
from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from pyroscope_otel.setup.settings import SettingsError

def processors():
    provider = trace.get_tracer_provider()
    multi = getattr(provider, "_active_span_processor", None)
    return [type(one).__name__ for one in getattr(multi, "_span_processors", ())]

def refused(**arguments):
    try:
        configure(**arguments)
    except SettingsError as error:
        print(error)

def use(**resource):
    attributes = {name.replace("_", "."): value for name, value in resource.items()}
    trace.set_tracer_provider(TracerProvider(resource=Resource.create(attributes)))
"""
