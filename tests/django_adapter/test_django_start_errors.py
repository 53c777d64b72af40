"""Errors that stop a Django process at start-up, and their messages."""

from __future__ import annotations

from tests.django_adapter.project_source import PROJECT, SERVE_ONE
from tests.support.child import run

BAD = 'PYROSCOPE={"SAMPLE_RAT": 5}'
MESSAGE = (
    "Django setting PYROSCOPE['SAMPLE_RAT'] is not a setting; "
    "did you mean Django setting PYROSCOPE['SAMPLE_RATE']?"
)


def test_wrong_settings_stop_a_process_without_a_command():
    assert run(
        PROJECT
        + f"""
set_up({BAD})
try:
    django.setup()
except django.core.exceptions.ImproperlyConfigured as error:
    print(error)
"""
    ) == [MESSAGE]


def test_wrong_settings_stop_only_commands_that_check_or_serve():
    lines = run(
        PROJECT
        + SERVE_ONE
        + f"""
from django.core.management import call_command
set_up({BAD})
execute_from_command_line(["manage.py", "version"])
for command, options in (
    ("check", {{}}),
    ("runserver", {{"use_reloader": False, "skip_checks": False}}),
    ("runserver", {{"use_reloader": False, "skip_checks": True}}),
    ("pyroscope", {{}}),
    ("shell", {{"command": "print(1)"}}),
):
    try:
        call_command(command, **options)
    except Exception as error:
        print(type(error).__name__, *str(error).splitlines(), sep="|")
"""
    )
    kinds = [line.partition("|")[0] for line in lines if MESSAGE in line]
    assert kinds == ["SystemCheckError", "SystemCheckError", "ImproperlyConfigured", "CommandError"]
    assert all("(pyroscope_otel_django.E001)" in line for line in lines if "SystemCheck" in line)
    assert lines[-1] == "1"


def test_pyroscope_command_works_although_checks_fail():
    """It is for diagnosis, so failed checks must not stop it."""
    lines = run(
        PROJECT
        + """
set_up(CACHES={})
for command in ("check", "pyroscope"):
    try:
        execute_from_command_line(["manage.py", command])
    except SystemExit as stop:
        print(stop.code)
"""
    )
    assert lines[:2] == ["1", "Settings"]


def test_middleware_without_the_app():
    assert run(
        PROJECT
        + """
set_up(INSTALLED_APPS=[])
django.setup()
from django.core.handlers.wsgi import WSGIHandler
try:
    WSGIHandler()
except django.core.exceptions.ImproperlyConfigured as error:
    print(error)
"""
    ) == [
        (
            "pyroscope_otel_django.middleware.PyroscopeMiddleware is in MIDDLEWARE, but its app is "
            "not installed: add 'pyroscope_otel_django' to INSTALLED_APPS"
        )
    ]


MISSING = (
    "pyroscope_otel_django needs opentelemetry-instrumentation-django to make a root span "
    "for each request. Install it with: "
    "pip install 'opentelemetry-instrumentation-django[asgi]>=0.56b0'. If "
    "something else makes the spans, set PYROSCOPE['INSTRUMENT'] to False"
)


def test_missing_instrumentation():
    assert run(
        PROJECT
        + """
sys.modules["opentelemetry.instrumentation.django"] = None
set_up()
try:
    django.setup()
except django.core.exceptions.ImproperlyConfigured as error:
    print(error)
"""
    ) == [MISSING]


def test_missing_instrumentation_that_is_not_needed():
    assert run(
        PROJECT
        + """
sys.modules["opentelemetry.instrumentation.django"] = None
set_up(PYROSCOPE={"APPLICATION_NAME": "shop", "INSTRUMENT": False})
django.setup()
state()
"""
    ) == ["configured armed"]
