"""Set-up without code: `opentelemetry-instrument` and environment variables alone."""

import re

import pytest

from tests.zero_code.instrumented import NO_DISTRO, NO_DISTRO_LOG, PROFILED, QUICK, run

LINKED = {"linked": True, "processors": 1}

LOOK = """
before = is_agent_running()
say(linked=is_linked(), processors=processors())
say(agent=[before, is_agent_running()])
"""


@pytest.mark.parametrize("quick", [{}, QUICK], ids=["instrumentations", "none"])
def test_environment_alone_links_and_profiles(quick):
    """With the first span, and not before: the process may be a master that only forks."""
    done = run(LOOK, PROFILED | quick)
    assert done.said == [LINKED, {"agent": [False, True]}]
    assert done.log == []


def test_one_variable_is_enough():
    environment = {
        "OTEL_SERVICE_NAME": "shop",
        "PYROSCOPE_SERVER_ADDRESS": PROFILED["PYROSCOPE_SERVER_ADDRESS"],
    }
    done = run(LOOK, environment | QUICK)
    assert done.said[0] == LINKED
    assert done.log == []


@pytest.mark.parametrize("quick", [{}, QUICK], ids=["instrumentations", "none"])
def test_application_name_alone_names_the_traces_too(quick):
    """By then, the distribution has made its provider without a name."""
    done = run(
        """
with trace.get_tracer("test").start_as_current_span("root") as span:
    say(service=span.resource.attributes["service.name"])
""",
        {name: value for name, value in PROFILED.items() if name != "OTEL_SERVICE_NAME"} | quick,
    )
    assert done.said == [{"service": "shop"}]
    assert done.log == []


def test_default_name_of_opentelemetry_stays_without_any_name():
    done = run(
        """
from opentelemetry.sdk.resources import Resource
default = Resource.create().attributes["service.name"]
assert default.startswith("unknown_service")
with trace.get_tracer("test").start_as_current_span("root") as span:
    say(default=span.resource.attributes["service.name"] == default)
""",
        {"PYROSCOPE_SERVER_ADDRESS": PROFILED["PYROSCOPE_SERVER_ADDRESS"]} | QUICK,
    )
    assert done.said == [{"default": True}]


def test_service_name_of_opentelemetry_stays():
    done = run(
        """
with trace.get_tracer("test").start_as_current_span("root") as span:
    say(service=span.resource.attributes["service.name"])
""",
        PROFILED | QUICK | {"OTEL_SERVICE_NAME": "cart"},
    )
    assert done.said == [{"service": "cart"}]
    (warning,) = done.log
    assert "Profiles have service_name 'shop', traces have service.name 'cart'" in warning


def test_forked_worker_has_its_own_agent_and_the_master_none():
    done = run(
        """
import os
if os.fork() == 0:
    say(linked=is_linked(), agent=is_agent_running())
    sys.stdout.flush()
    os._exit(0)
_, status = os.wait()
say(status=status, agent=is_agent_running())
""",
        PROFILED | QUICK,
    )
    assert done.said == [{"linked": True, "agent": True}, {"status": 0, "agent": False}]


@pytest.mark.parametrize("page", ["README.md", "docs/zero-code.md"])
def test_documented_variables_work_with_the_extra_otlp(page, pytestconfig):
    """Without them, the distribution asks for gRPC, whose exporter is not installed."""
    text = (pytestconfig.rootpath / page).read_text()
    (block,) = (
        block
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        if "opentelemetry-instrument gunicorn" in block
    )
    named = dict(re.findall(r"\b(\w+)=(\S+)", block))
    # The distribution sets the first if the environment does not.
    environment = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    }
    exporters = """
exporting = [one for one in tracing.span_processors(trace.get_tracer_provider())]
say(exporters=[type(getattr(one, "span_exporter", None)).__name__ for one in exporting])
"""
    done = run(exporters, QUICK | environment | named)
    assert done.said == [{"exporters": ["OTLPSpanExporter", "NoneType"]}]
    assert done.log == []
    without = run(exporters, QUICK | environment)
    assert "Failed to auto initialize OpenTelemetry" in without.log


# Doing nothing


KUBERNETES = {
    "PYROSCOPE_PORT": "tcp://10.0.0.1:4040",
    "PYROSCOPE_SERVICE_HOST": "10.0.0.1",
    "PYROSCOPE_SERVICE_PORT": "4040",
    "PYROSCOPE_PORT_4040_TCP_ADDR": "10.0.0.1",
}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        pytest.param(KUBERNETES, ["No profiles: Pyroscope is not configured"], id="not configured"),
        pytest.param(PROFILED | {"PYROSCOPE_ENABLED": "false"}, [], id="switched off"),
        pytest.param(
            PROFILED | {"OTEL_SDK_DISABLED": "True"},
            ["No profiles: OTEL_SDK_DISABLED is true"],
            id="OpenTelemetry is off",
        ),
        pytest.param(
            PROFILED | {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*, pyroscope_otel"},
            [],
            id="named among the disabled",
        ),
    ],
)
def test_nothing_is_installed_if_disabled_or_not_configured(environment, said):
    done = run(
        "say(linked=is_linked(), processors=processors(), hooked=is_hooked())\n",
        QUICK | environment,
    )
    assert done.said == [{"linked": False, "processors": 0, "hooked": False}]
    assert [line[: len(begin)] for line, begin in zip(done.log, said, strict=True)] == said


# A wrong setting


def test_wrong_setting_is_one_log_line_and_the_application_runs():
    done = run(
        "say(linked=is_linked(), processors=processors(), hooked=is_hooked())\n",
        PROFILED | QUICK | {"PYROSCOPE_UPLOAD_INTERVAL": "0.5s"},
    )
    assert done.said == [{"linked": False, "processors": 0, "hooked": False}]
    assert done.log == [
        (
            "No profiles: upload_interval must be a whole number of seconds, 1 or more, with the "
            "unit, as in 10s; environment variable PYROSCOPE_UPLOAD_INTERVAL is '0.5s'"
        )
    ]


# No tracer provider when the interpreter starts


NO_PROVIDER_LOG = [
    NO_DISTRO_LOG,
    (
        "No profiles until the application sets a tracer provider: OpenTelemetry has none. "
        "To have one made: pip install opentelemetry-distro"
    ),
]

SET_PROVIDER = """
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_tracer_provider

def set_own_provider():
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    set_tracer_provider(provider)
    return trace.get_tracer_provider() is provider
"""


def test_set_up_waits_for_the_applications_provider():
    """One made by us would replace it: the provider can be set only once."""
    done = run(
        SET_PROVIDER
        + """
early = trace.get_tracer("test")
say(hooked=is_hooked(), none=type(trace.get_tracer_provider()).__name__)
say(own=set_own_provider())
say(linked=is_linked(), processors=processors())
with early.start_as_current_span("root") as span:
    say(linked=span.attributes["pyroscope.profile.id"] == pyroscope_otel.current_profile_id())
""",
        PROFILED | QUICK | NO_DISTRO,
    )
    assert done.said == [
        {"hooked": False, "none": "ProxyTracerProvider"},
        {"own": True},
        LINKED,
        {"linked": True},
    ]
    assert done.log == NO_PROVIDER_LOG


def test_waiting_leaves_nothing_once_the_provider_is_set():
    done = run(
        SET_PROVIDER
        + """
set_own_provider()
say(function=trace.set_tracer_provider.__code__.co_filename == trace.__file__)
trace.set_tracer_provider(TracerProvider())
set_tracer_provider(TracerProvider())
say(processors=processors())
""",
        PROFILED | QUICK | NO_DISTRO,
    )
    assert done.said == [{"function": True}, {"processors": 1}]
    assert done.log == [
        *NO_PROVIDER_LOG,
        *["Overriding of current TracerProvider is not allowed"] * 2,
    ]


def test_undone_set_up_waits_for_no_provider():
    done = run(
        """
from opentelemetry.sdk.trace import TracerProvider
from pyroscope_otel.zero_code import PyroscopeInstrumentor

PyroscopeInstrumentor().uninstrument()
trace.set_tracer_provider(TracerProvider())
say(processors=processors())
""",
        PROFILED | QUICK | NO_DISTRO,
    )
    assert done.said == [{"processors": 0}]


def test_wrong_setting_is_reported_before_the_provider_is_set():
    done = run("", PROFILED | QUICK | NO_DISTRO | {"PYROSCOPE_SPAN_LABELS": "span"})
    assert done.log == [
        NO_DISTRO_LOG,
        (
            "No profiles: span_labels must be one or more of span_id, span_name, trace_id, with "
            "commas between them; environment variable PYROSCOPE_SPAN_LABELS is 'span'"
        ),
    ]


# The application uses the package too


def test_application_without_a_provider_may_call_configure():
    done = run(
        "pyroscope_otel.configure(sample_rate=50)\n" + LOOK,
        PROFILED | QUICK | NO_DISTRO,
    )
    assert done.said == [LINKED, {"agent": [False, True]}]
    assert done.log == NO_PROVIDER_LOG


def test_application_may_give_the_same_settings_again():
    done = run("pyroscope_otel.configure(application_name='shop')\n" + LOOK, PROFILED | QUICK)
    assert done.said == [LINKED, {"agent": [False, True]}]
    assert done.log == []


def test_settings_of_the_application_replace_those_of_the_environment():
    done = run(
        """
say(linked=is_linked(), agent=is_agent_running())
pyroscope_otel.configure(application_name="shop", sample_rate=50)
"""
        + LOOK,
        PROFILED | QUICK,
    )
    assert done.said == [
        {"linked": True, "agent": True},
        LINKED,
        {"agent": [False, True]},
    ]
    assert done.log == []
