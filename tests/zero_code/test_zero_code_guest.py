"""When the start-up hook does nothing, and what it logs then."""

from importlib.metadata import entry_points

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from pyroscope_otel import zero_code
from pyroscope_otel.link import failure
from pyroscope_otel.setup import configuration
from pyroscope_otel.setup.setting_table import TABLE
from pyroscope_otel.zero_code import PyroscopeInstrumentor

NOT_CONFIGURED = (
    "Pyroscope is not configured. Set PYROSCOPE_SERVER_ADDRESS to the server's URL, or "
    "PYROSCOPE_ENABLED=false if you want no profiles."
)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    """Reset the state to that of a new process with an empty environment."""
    monkeypatch.setattr(zero_code, "_has_started", False)
    monkeypatch.delenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", raising=False)
    for name in (name for row in TABLE for name in row.environment):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def log(caplog):
    """Return the levels and messages that were logged."""
    caplog.set_level("INFO", logger="pyroscope_otel")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


@pytest.mark.parametrize(
    ("environment", "level", "reason"),
    [
        ({}, "WARNING", NOT_CONFIGURED),
        ({"PYROSCOPE_APPLICATION_NAME": " "}, "WARNING", NOT_CONFIGURED),
        (
            {"PYROSCOPE_ENABLED": "false"},
            "INFO",
            "enabled is False (environment variable PYROSCOPE_ENABLED)",
        ),
        (
            {"PYROSCOPE_LABELS": "a=b", "OTEL_SDK_DISABLED": "true"},
            "WARNING",
            (
                "OTEL_SDK_DISABLED is true: there are no spans, so nothing links profiles "
                "with traces. Unset OTEL_SDK_DISABLED."
            ),
        ),
        (
            {
                "PYROSCOPE_LABELS": "a=b",
                "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "a, pyroscope_otel",
            },
            "INFO",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names pyroscope_otel",
        ),
    ],
)
def test_hook_logs_in_one_line_why_it_does_nothing(environment, level, reason, monkeypatch, log):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    zero_code.start()
    zero_code.start()
    assert log() == [(level, f"No profiles: {reason}")]
    assert configuration._process.installed is None


def test_only_variable_may_be_misspelt(monkeypatch, log):
    monkeypatch.setenv("PYROSCOPE_APPLICATON_NAME", "shop")
    monkeypatch.setattr("pyroscope_otel.setup.settings._warned_variables", set())
    zero_code.start()
    assert log() == [
        (
            "WARNING",
            (
                "Environment variable PYROSCOPE_APPLICATON_NAME is not read; "
                "did you mean PYROSCOPE_APPLICATION_NAME?"
            ),
        ),
        ("WARNING", f"No profiles: {NOT_CONFIGURED}"),
    ]


@pytest.fixture
def provider(recorder, exporter):  # noqa: ARG001  the recorder is the agent
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    PyroscopeInstrumentor().uninstrument()
    provider.shutdown()


def is_linked(provider):
    with provider.get_tracer("test").start_as_current_span("root") as span:
        return "pyroscope.profile.id" in span.attributes


def test_instrumentation_without_options_leaves_the_set_up_to_the_hook(log):
    """`opentelemetry-instrument` calls all instrumentations, and the hook after them."""
    PyroscopeInstrumentor().instrument(skip_dep_check=True)
    PyroscopeInstrumentor().instrument(skip_dep_check=True, raise_exception_on_conflict=True)
    assert not PyroscopeInstrumentor().is_instrumented_by_opentelemetry
    assert log() == []


def test_providers_of_a_distribution_alone_start_nothing(provider, log):
    """A distribution may give them to every instrumentation."""
    PyroscopeInstrumentor().instrument(
        tracer_provider=provider, meter_provider=object(), logger_provider=object()
    )
    assert not is_linked(provider)
    assert log() == [("WARNING", f"No profiles: {NOT_CONFIGURED}")]


def test_instrumentation_with_options_sets_up_once_and_can_be_undone(provider, log):
    options = {"application_name": "shop", "tracer_provider": provider}
    instrumentor = PyroscopeInstrumentor()
    instrumentor.instrument(skip_dep_check=True, meter_provider=object(), **options)
    assert is_linked(provider)
    assert PyroscopeInstrumentor().is_instrumented_by_opentelemetry
    PyroscopeInstrumentor().instrument(sample_rate=50, **options)
    zero_code.start()
    instrumentor.uninstrument()
    assert not instrumentor.is_instrumented_by_opentelemetry
    assert not is_linked(provider)
    instrumentor.instrument(sample_rate=50, **options)
    assert is_linked(provider)
    assert {level for level, _ in log()} == {"INFO"}


@pytest.mark.parametrize("group", ["opentelemetry_instrumentor", "opentelemetry_post_instrument"])
def test_failure_of_ours_does_not_reach_the_application(group, provider, log, monkeypatch):
    def fail(*_arguments, **_options):
        raise ZeroDivisionError

    monkeypatch.setattr(configuration, "apply", fail)
    monkeypatch.setattr(failure, "reraise", False)
    monkeypatch.setattr(failure, "_reported", set())
    monkeypatch.setattr(zero_code.tracing, "provider_in_use", lambda _given: provider)
    monkeypatch.setenv("PYROSCOPE_APPLICATION_NAME", "shop")
    (entry_point,) = entry_points(group=group, name="pyroscope_otel")
    loaded = entry_point.load()
    if group == "opentelemetry_instrumentor":
        loaded().instrument(application_name="shop")
    else:
        loaded()
    assert log() == [
        (
            "ERROR",
            (
                "pyroscope-otel failed to set up without code; profiles may lack labels, the "
                "application is not affected. Further failures of this kind are not logged"
            ),
        )
    ]
