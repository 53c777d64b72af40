"""Which tracer provider is used, and what is registered with it.

Each case runs in its own process: the global tracer provider can be set once.
"""

import pytest

from tests.support.child import run

BEGIN = """
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from pyroscope_otel.setup import tracing
from pyroscope_otel.link.processor import PyroscopeSpanProcessor
from pyroscope_otel.setup.settings import SettingsError, read_settings

def settings(**arguments):
    return read_settings({"application_name": "shop", **arguments}, environ={})

def processors(provider):
    return [type(one).__name__ for one in provider._active_span_processor._span_processors]
"""
HIDE_EXPORTERS = """
sys.modules["opentelemetry.exporter.otlp.proto.http.trace_exporter"] = None
sys.modules["opentelemetry.exporter.otlp.proto.grpc.trace_exporter"] = None
"""
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


def test_given_provider_is_used_instead_of_the_global_one():
    assert run(
        BEGIN
        + """
given = TracerProvider()
print(tracing.tracer_provider_for(settings(tracer_provider=given)) is given)
print(type(trace.get_tracer_provider()).__name__)
"""
    ) == ["True", "ProxyTracerProvider"]


def test_global_provider_is_used():
    assert run(
        BEGIN
        + """
own = TracerProvider()
trace.set_tracer_provider(own)
print(tracing.tracer_provider_for(settings()) is own)
"""
    ) == ["True"]


def test_missing_provider_is_made_and_becomes_global():
    assert run(
        BEGIN
        + """
made = tracing.tracer_provider_for(settings())
print(type(made).__name__, trace.get_tracer_provider() is made, processors(made))
print(made.resource.attributes["service.name"])
print(tracing.tracer_provider_for(settings()) is made)
"""
    ) == ["MadeProvider True []", "shop", "True"]


@pytest.mark.parametrize(
    "env",
    [
        {"OTEL_SERVICE_NAME": "from-otel"},
        {"OTEL_RESOURCE_ATTRIBUTES": "service.name=from-otel,a=b"},
    ],
)
def test_service_name_of_opentelemetry_is_kept(env):
    assert run(
        BEGIN
        + """
made = tracing.tracer_provider_for(settings())
print(made.resource.attributes["service.name"])
""",
        env=env,
    ) == ["from-otel"]


def test_resource_attributes_are_known_before_the_provider_is_made():
    assert run(
        BEGIN
        + """
before = dict(tracing.resource_attributes(None))
made = tracing.tracer_provider_for(settings())
print(before == dict(tracing.resource_attributes(made)), before["service.namespace"])
""",
        env={"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,service.namespace=web"},
    ) == ["True web"]


def test_provider_without_a_resource_has_no_attributes():
    assert run(BEGIN + "print(tracing.resource_attributes(trace.NoOpTracerProvider()))") == ["{}"]


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, []),
        (ENDPOINT, ["OTLPSpanExporter"]),
        ({"OTEL_TRACES_EXPORTER": "none"}, []),
        ({"OTEL_TRACES_EXPORTER": "otlp_proto_http"}, ["OTLPSpanExporter"]),
        (
            ENDPOINT | {"OTEL_TRACES_EXPORTER": "console, otlp"},
            ["ConsoleSpanExporter", "OTLPSpanExporter"],
        ),
    ],
)
def test_made_provider_exports_as_the_environment_asks(env, expected):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    assert run(
        BEGIN
        + """
made = tracing.tracer_provider_for(settings())
exporting = made._active_span_processor._span_processors
print([type(one.span_exporter).__name__ for one in exporting])
print(processors(made) == ["BatchSpanProcessor"] * len(exporting))
""",
        env=env,
    ) == [str(expected), "True"]


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "INFO No OTLP endpoint is set"),
        ({"OTEL_TRACES_EXPORTER": "none"}, "INFO OTEL_TRACES_EXPORTER is 'none'"),
        (
            ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"},
            "WARNING OTEL_TRACES_EXPORTER is 'none': traces go nowhere, though an OTLP endpoint",
        ),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            "WARNING The OTLP protocol is set to 'http/json'",
        ),
        ({"OTEL_TRACES_EXPORTER": "nix"}, "WARNING OTEL_TRACES_EXPORTER asks for 'nix'"),
    ],
)
def test_made_provider_that_exports_nothing_logs_why(env, said):
    (line,) = run(
        BEGIN
        + """
logging.getLogger("pyroscope_otel").setLevel("INFO")
tracing.tracer_provider_for(settings())
""",
        env=env,
    )
    assert line.startswith(said)


def test_missing_exporter_is_one_log_line():
    assert run(
        BEGIN
        + HIDE_EXPORTERS
        + """
print(processors(tracing.tracer_provider_for(settings())))
""",
        env=ENDPOINT,
    ) == [
        (
            "WARNING An OTLP endpoint is set, but no OTLP exporter for it is installed: no trace "
            "goes there. pip install opentelemetry-exporter-otlp-proto-http, or "
            "opentelemetry-exporter-otlp-proto-grpc with OTEL_EXPORTER_OTLP_PROTOCOL=grpc."
        ),
        "[]",
    ]


def test_global_provider_without_processors_is_refused():
    assert run(
        BEGIN
        + """
class Other(trace.TracerProvider):
    def get_tracer(self, *arguments, **named):
        return trace.NoOpTracer()
trace.set_tracer_provider(Other())
try:
    tracing.tracer_provider_for(settings())
except SettingsError as error:
    print(error)
"""
    ) == [
        (
            "tracer_provider must be a tracer provider with add_span_processor, such as "
            "opentelemetry.sdk.trace.TracerProvider; "
            "the global tracer provider is a __main__.Other"
        )
    ]


def test_provider_without_spans_is_used_unchanged():
    assert run(
        BEGIN
        + """
given = trace.NoOpTracerProvider()
print(tracing.tracer_provider_for(settings(tracer_provider=given)) is given)
print(tracing.register_processor(given, PyroscopeSpanProcessor))
"""
    ) == ["True", "None"]


def test_processor_is_registered_once():
    assert run(
        BEGIN
        + """
provider = TracerProvider()
first = tracing.register_processor(provider, PyroscopeSpanProcessor)
second = tracing.register_processor(provider, PyroscopeSpanProcessor)
print(type(first).__name__, second, processors(provider))
"""
    ) == ["PyroscopeSpanProcessor None ['PyroscopeSpanProcessor']"]


def test_processor_registered_by_hand_is_recognized():
    assert run(
        BEGIN
        + """
provider = TracerProvider()
provider.add_span_processor(PyroscopeSpanProcessor())
print(tracing.register_processor(provider, PyroscopeSpanProcessor), processors(provider))
"""
    ) == ["None ['PyroscopeSpanProcessor']"]


def test_processor_is_removed_and_the_others_stay():
    assert run(
        BEGIN
        + """
from opentelemetry.sdk.trace import SpanProcessor
class Other(SpanProcessor):
    pass
provider = TracerProvider()
provider.add_span_processor(Other())
ours = tracing.register_processor(provider, PyroscopeSpanProcessor)
provider.add_span_processor(Other())
print(processors(provider))
tracing.unregister_processor(provider, ours)
print(processors(provider))
"""
    ) == ["['Other', 'PyroscopeSpanProcessor', 'Other']", "['Other', 'Other']"]


def test_provider_of_another_class_keeps_the_processor():
    assert run(
        BEGIN
        + """
class Provider:
    def __init__(self):
        self.taken = []
    def add_span_processor(self, processor):
        self.taken.append(processor)
provider = Provider()
ours = tracing.register_processor(provider, PyroscopeSpanProcessor)
tracing.unregister_processor(provider, ours)
print(provider.taken == [ours])
"""
    ) == ["True"]
