"""Set-up from OpenTelemetry's configuration file, which calls us as an instrumentation."""

import pytest

from tests.zero_code.instrumented import QUICK, SERVER, run

pytest.importorskip("opentelemetry.configuration")  # It needs a newer SDK than we do.

CONFIGURATION = """
file_format: "1.0-rc.1"
resource:
  attributes:
    - name: service.name
      value: shop
tracer_provider:
  processors:
    - simple:
        exporter:
          console: {}
instrumentation/development:
  python:
    pyroscope_otel:
      server_address: ${SERVER}
"""

LOG = ["OTEL_CONFIG_FILE is set; ignoring configurator kwargs: ['auto_instrumentation_version']"]

LOOK = """
from pyroscope_otel.setup import configuration
installed = configuration._process.installed
say(linked=is_linked(), processors=processors())
say(**installed.settings.tags if installed else {})
"""


@pytest.fixture
def run_with(tmp_path):
    def run_with(options="", code=LOOK, **environment):
        file = tmp_path / "otel.yaml"
        file.write_text(CONFIGURATION + options)
        return run(code, {"OTEL_CONFIG_FILE": str(file), "SERVER": SERVER, **environment})

    return run_with


@pytest.mark.parametrize("environment", [QUICK, {}], ids=["alone", "and the instrumentations"])
def test_options_are_the_settings(run_with, environment):
    """Once: without the first option here, all instrumentations are loaded, and this one twice."""
    done = run_with("      tags: {region: eu}\n", **environment)
    assert done.said == [{"linked": True, "processors": 1}, {"region": "eu"}]
    assert done.log == LOG


def test_options_come_before_the_environment(run_with):
    done = run_with("      tags: {region: eu}\n", PYROSCOPE_LABELS="region=us", **QUICK)
    assert done.said[1] == {"region": "eu"}


def test_wrong_option_is_one_log_line(run_with):
    done = run_with("      server_adress: http://127.0.0.1:9\n", **QUICK)
    assert done.said == [{"linked": False, "processors": 0}, {}]
    assert done.log == [
        *LOG,
        (
            "No profiles: argument server_adress is not a setting; "
            "did you mean argument server_address?"
        ),
    ]


def test_disabled_instrumentation_does_nothing(run_with):
    done = run_with("      enabled: false\n", **QUICK)
    assert done.said == [{"linked": False, "processors": 0}, {}]
    assert done.log == LOG


ASK = """
from flask import Flask
try:
    say(status=Flask("shop").test_client().get("/").status_code)
except AttributeError:
    say(status=None)
"""


@pytest.mark.parametrize(
    ("propagator", "status"),
    [
        pytest.param("", None, id="without"),
        pytest.param("propagator: {composite: [{tracecontext: {}}]}\n", 404, id="with"),
    ],
)
def test_flask_fails_without_a_propagator(run_with, propagator, status):
    """Also without us. Our page says so; when this passes no more, the page must change."""
    off = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "pyroscope_otel"}
    assert run_with(propagator, ASK, **off).said == [{"status": status}]
