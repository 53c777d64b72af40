"""The extension's settings, what it refuses, and its use by several applications."""

import sys

import flask
import pytest
from quart import Quart

from pyroscope_otel.setup import configuration
from pyroscope_otel.setup.settings import SettingsError
from pyroscope_otel_flask import Pyroscope
from tests.flask_adapter.flask_variants import RULE, by_factory, serving
from tests.support.child import run as run_child
from tests.support.journal import PATH
from tests.support.wsgi_server import Exchange


def installed():
    """Return the settings in force in this process."""
    return configuration._process.installed.settings


@pytest.fixture
def app():
    return flask.Flask("shop")


def test_application_factories_share_one_extension(settings, journal):
    pyroscope = Pyroscope(**settings)

    def answer():
        journal.note()
        return "x"

    apps = [serving(answer)() for _ in range(2)]
    for app in apps:
        pyroscope.init_app(app)
        assert app.extensions["pyroscope"] is pyroscope
        Exchange().serve(app)
    journal.check_nothing_is_left()
    ids = [root.attributes["pyroscope.profile.id"] for root in journal.roots()]
    assert journal.ids == ids
    assert len(set(ids)) == 2


def test_second_extension_on_one_application_is_refused(app, settings):
    Pyroscope(app, **settings)
    before = app.wsgi_app
    with pytest.raises(RuntimeError) as caught:
        Pyroscope(app, **settings)
    assert str(caught.value) == (
        "The Flask application 'shop' already has the Pyroscope extension: "
        "initialise it once, with Pyroscope(app) or with init_app(app)"
    )
    assert app.wsgi_app is before


# Settings


def test_settings_from_the_flask_configuration(app, settings):
    app.config["PYROSCOPE_SAMPLE_RATE"] = 50
    app.config["PYROSCOPE_TAGS"] = {"region": "eu"}
    Pyroscope(app, **settings)
    assert installed().sample_rate == 50
    assert installed().tags == {"region": "eu"}
    assert installed().sources["sample_rate"] == "Flask setting PYROSCOPE_SAMPLE_RATE"


def test_settings_from_prefixed_environment_variables(app, settings, monkeypatch):
    monkeypatch.setenv("FLASK_PYROSCOPE_SAMPLE_RATE", "50")
    monkeypatch.setenv("FLASK_PYROSCOPE_GIL_ONLY", "false")
    monkeypatch.setenv("FLASK_PYROSCOPE_TAGS__region", "eu")
    app.config.from_prefixed_env()
    Pyroscope(app, **settings)
    assert (installed().sample_rate, installed().gil_only) == (50, False)
    assert installed().tags == {"region": "eu"}


def test_arguments_override_the_configuration_which_overrides_the_environment(
    app, settings, monkeypatch
):
    for name in ("PROFILING_INTERVAL", "UPLOAD_INTERVAL", "MEM_MAX_NFRAME"):
        monkeypatch.setenv(f"PYROSCOPE_{name}", "1s" if "INTERVAL" in name else "1")
    app.config["PYROSCOPE_SAMPLE_RATE"] = 2
    app.config["PYROSCOPE_UPLOAD_INTERVAL"] = 2
    Pyroscope(app, **settings, sample_rate=3)
    found = installed()
    assert (found.sample_rate, found.upload_interval, found.mem_max_nframe) == (3, 2, 1)


def test_none_in_the_configuration_counts_as_unset(app, settings):
    app.config["PYROSCOPE_SAMPLE_RATE"] = None
    Pyroscope(app, **settings)
    assert installed().sample_rate == 100


@pytest.mark.parametrize(
    ("config", "arguments", "message"),
    [
        (
            {"PYROSCOPE_SAMPLE_RAT": 50},
            {},
            (
                "Flask setting PYROSCOPE_SAMPLE_RAT is not a setting; "
                "did you mean Flask setting PYROSCOPE_SAMPLE_RATE?"
            ),
        ),
        (
            {"PYROSCOPE_UPLOAD_INTERVAL": 0},
            {},
            (
                "upload_interval must be a whole number of seconds, 1 or more; "
                "Flask setting PYROSCOPE_UPLOAD_INTERVAL is 0"
            ),
        ),
        (
            {"PYROSCOPE_AUTH_TOKEN": 5},
            {},
            (
                "auth_token must be text without control characters; Flask setting "
                "PYROSCOPE_AUTH_TOKEN is a secret of type int, which is not shown"
            ),
        ),
        (
            {},
            {"sample_rat": 50},
            "argument sample_rat is not a setting; did you mean argument sample_rate?",
        ),
    ],
)
def test_wrong_setting_stops_start_up(config, arguments, message, app, settings):
    app.config.update(config)
    before = app.wsgi_app
    with pytest.raises(SettingsError) as caught:
        Pyroscope(app, **settings, **arguments)
    assert str(caught.value) == message
    assert "pyroscope" not in app.extensions
    assert app.wsgi_app == before


def test_later_applications_may_omit_or_repeat_settings(settings):
    Pyroscope(flask.Flask("first"), **settings, sample_rate=50)
    Pyroscope(flask.Flask("second"))
    third = flask.Flask("third")
    third.config["PYROSCOPE_SAMPLE_RATE"] = 50
    Pyroscope(third)
    assert installed().sample_rate == 50


def test_several_applications_with_different_settings_are_refused(settings):
    Pyroscope(flask.Flask("first"), **settings, sample_rate=50)
    second = flask.Flask("second")
    second.config.update(PYROSCOPE_SAMPLE_RATE=10, PYROSCOPE_APPLICATION_NAME="shop")
    with pytest.raises(SettingsError) as caught:
        Pyroscope(second)
    assert str(caught.value) == (
        "pyroscope_otel is already configured, with other settings: sample_rate: "
        "50 (argument sample_rate) → 10 (Flask setting PYROSCOPE_SAMPLE_RATE). "
        "Call pyroscope_otel.shutdown() first"
    )


def test_switched_off_nothing_is_installed(app, settings):
    app.config["PYROSCOPE_ENABLED"] = False
    before = app.wsgi_app
    pyroscope = Pyroscope(app, **settings)
    assert app.extensions["pyroscope"] is pyroscope
    assert app.wsgi_app == before
    assert not app.before_request_funcs
    assert configuration._process.installed is None


def test_switched_off_no_instrumentation_is_imported():
    assert run_child(
        """
import flask
from pyroscope_otel_flask import Pyroscope
Pyroscope(flask.Flask("shop"), enabled=False)
print([name for name in sys.modules if name.startswith("opentelemetry.instrumentation")])
"""
    ) == ["[]"]


# Unsupported applications


def test_error_for_quart_names_the_asgi_middleware(settings):
    with pytest.raises(TypeError) as caught:
        Pyroscope(Quart("shop"), **settings)
    assert str(caught.value) == (
        "pyroscope_otel_flask.Pyroscope needs a Flask application; this is a quart.app.Quart. "
        "For Quart: from pyroscope_otel.asgi import PyroscopeMiddleware, "
        "then app.asgi_app = PyroscopeMiddleware(app.asgi_app)"
    )


def test_non_application_is_refused(settings):
    with pytest.raises(TypeError) as caught:
        Pyroscope("shop", **settings)
    assert str(caught.value) == (
        "pyroscope_otel_flask.Pyroscope needs a Flask application; this is a builtins.str"
    )


def test_error_for_missing_instrumentation_says_how_to_install_it(app, settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.flask", None)
    with pytest.raises(ImportError) as caught:
        Pyroscope(app, **settings)
    assert str(caught.value) == (
        "pyroscope_otel_flask.Pyroscope needs opentelemetry-instrumentation-flask to make a root "
        "span for each request, as this application is not instrumented yet. "
        "Install it with: pip install 'opentelemetry-instrumentation-flask>=0.56b0'"
    )
    assert caught.value.name == "opentelemetry.instrumentation.flask"


# The tracer provider


def test_two_lines_are_enough_without_a_tracer_provider():
    assert run_child(
        """
import flask
from opentelemetry import trace

app = flask.Flask("shop")

@app.get("/")
def view():
    return trace.get_current_span().attributes["pyroscope.profile.id"]

from pyroscope_otel_flask import Pyroscope
Pyroscope(app, application_name="shop", server_address="http://127.0.0.1:9")

import pyroscope_otel
with app.test_client() as client:
    print(len(client.get("/").text))
    print(trace.get_tracer_provider().resource.attributes["service.name"])
"""
    ) == ["16", "shop"]


def test_spans_go_to_the_tracer_provider_of_the_settings(settings, exporter):
    by_factory(serving(lambda: "x"), settings).test_client().get(PATH)
    assert [span.name for span in exporter.get_finished_spans()] == [f"GET {RULE}"]
