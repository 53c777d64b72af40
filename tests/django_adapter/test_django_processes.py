"""Where the agent starts: in processes that serve, and in no other. Each in one of its own."""

from __future__ import annotations

import pytest

from tests.support.child import run

PROJECT = """
import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import path
from opentelemetry import trace
from pyroscope_otel.setup import agent
from pyroscope_otel.link import thread_labels

ids = []

def view(request):
    ids.append(request.pyroscope_profile_id)
    return HttpResponse("x")

urlpatterns = [path("", view)]

def set_up(**more):
    settings.configure(**{
        "SECRET_KEY": "none",
        "ALLOWED_HOSTS": ["*"],
        "DEBUG": True,
        "INSTALLED_APPS": ["pyroscope_otel_django"],
        "MIDDLEWARE": ["pyroscope_otel_django.middleware.PyroscopeMiddleware"],
        "PYROSCOPE": {"APPLICATION_NAME": "shop"},
        "ROOT_URLCONF": __name__,
        "USE_TZ": True,
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        "SILENCED_SYSTEM_CHECKS": ["pyroscope_otel_django.W003"],
    } | more)

def has_provider():
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)

def state():
    "Whether tracing is set up, the next root span starts the agent, and it runs."
    words = {
        "configured": has_provider(),
        "armed": agent.AGENT.needed,
        "running": thread_labels.agent_is_running(),
    }
    print(*[word for word, holds in words.items() if holds] or ["nothing"])

def root_span():
    with trace.get_tracer("shop").start_as_current_span("job"):
        pass
"""


def with_start(start):
    return f'PYROSCOPE={{"APPLICATION_NAME": "shop", "START": {start!r}}}'


def test_a_management_command_sets_up_nothing():
    """Not even with a root span, as an instrumented database makes in `migrate`."""
    lines = run(
        PROJECT
        + f"""
set_up({with_start("now")})
for command in (
    ["migrate", "--verbosity=0"],
    ["makemigrations", "--check"],
    ["check"],
    ["shell", "--command", "pass"],
    ["pyroscope"],
):
    execute_from_command_line(["manage.py", *command])
    state()
    root_span()
    state()
"""
    )
    assert lines.count("nothing") == 10


@pytest.mark.parametrize("start", ["lazy", "now"])
def test_a_management_command_has_no_agent_though_set_up_without_code(start):
    lines = run(
        PROJECT
        + f"""
from pyroscope_otel.setup import configuration
configuration.apply(
    {{"application_name": "shop", "server_address": "http://127.0.0.1:9", "start": {start!r}}},
    replaceable=True,
)
set_up()
execute_from_command_line(["manage.py", "check"])
root_span()
state()
"""
    )
    assert lines[-1] == "configured"


def test_an_override_in_a_management_command_sets_up_nothing():
    """It configures anew only what had been configured."""
    lines = run(
        PROJECT
        + """
from django.test import override_settings
set_up()
execute_from_command_line(["manage.py", "check"])
with override_settings(PYROSCOPE={"APPLICATION_NAME": "till"}):
    state()
state()
"""
    )
    assert lines[-2:] == ["nothing", "nothing"]


SERVE_ONE = """
import io
from django.core.management.commands import runserver

def serve_one(address, port, handler, **_):
    state()
    environ = RequestFactory()._base_environ(PATH_INFO="/")
    print(b"".join(handler(environ, lambda *_: None)))
    state()
    print(ids[0] is not None, len(ids))

runserver.run = serve_one
"""


@pytest.mark.parametrize(
    ("start", "before"), [("lazy", "configured armed"), ("now", "configured running")]
)
def test_runserver_sets_up_what_serves(start, before):
    lines = run(
        PROJECT
        + SERVE_ONE
        + f"""
set_up({with_start(start)})
execute_from_command_line(["manage.py", "runserver", "--noreload", "--nothreading"])
"""
    )
    assert lines[-4:] == [before, "b'x'", "configured running", "True 1"]


def test_runserver_serves_what_was_set_up_without_code():
    lines = run(
        PROJECT
        + SERVE_ONE
        + """
from pyroscope_otel.setup import configuration
configuration.apply({"application_name": "shop"}, replaceable=True)
set_up()
execute_from_command_line(["manage.py", "runserver", "--noreload", "--nothreading"])
"""
    )
    assert lines[-4:] == ["configured armed", "b'x'", "configured running", "True 1"]


def test_runservers_reloader_sets_up_nothing():
    """It is the parent of what serves, and a command like others."""
    assert run(
        PROJECT
        + f"""
from django.utils import autoreload

def restart_with_reloader():
    state()
    root_span()
    state()
    return 0

autoreload.restart_with_reloader = restart_with_reloader
set_up({with_start("now")})
try:
    execute_from_command_line(["manage.py", "runserver"])
except SystemExit:
    print("end")
"""
    ) == ["nothing", "nothing", "end"]


@pytest.mark.parametrize(
    ("start", "then"), [("lazy", "configured armed"), ("now", "configured running")]
)
def test_a_process_that_is_no_command_is_set_up_at_once(start, then):
    """Such as a server's worker, or a Celery worker."""
    assert run(
        PROJECT
        + f"""
set_up({with_start(start)})
django.setup()
state()
root_span()
state()
"""
    ) == [then, "configured running"]


def test_a_pre_fork_servers_master_only_gets_ready():
    assert run(
        PROJECT
        + """
from django.core.wsgi import get_wsgi_application

set_up()
application = get_wsgi_application()
state()
sys.stdout.flush()
if (child := os.fork()) == 0:
    state()
    list(application(RequestFactory()._base_environ(PATH_INFO="/"), lambda *_: None))
    state()
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
state()
"""
    ) == ["configured armed", "configured armed", "configured running", "configured armed"]


@pytest.mark.parametrize("command", ["test", "shell"])
def test_requests_of_tests_and_shells_have_ids_and_no_agent(command):
    code = "from __main__ import Client, ids, state; Client().get('/'); state(); print(len(ids[0]))"
    assert run(
        PROJECT
        + f"""
class Runner:
    def __init__(self, **_): pass

    def run_tests(self, *_):
        exec({code!r})

set_up({with_start("now")}, TEST_RUNNER=__name__ + ".Runner")
arguments = ["--command", {code!r}] if {command!r} == "shell" else []
execute_from_command_line(["manage.py", {command!r}, *arguments])
"""
    )[-2:] == ["configured", "16"]


def test_a_worker_that_is_a_command_configures_itself():
    assert run(
        PROJECT
        + """
from django.core.management import ManagementUtility
from django.core.management.base import BaseCommand
import pyroscope_otel_django

class Worker(BaseCommand):
    requires_system_checks = []

    def handle(self, *_, **__):
        state()
        print(pyroscope_otel_django.configure())
        state()
        root_span()
        state()

ManagementUtility.fetch_command = lambda *_: Worker()
set_up()
execute_from_command_line(["manage.py", "worker"])
"""
    ) == ["nothing", "True", "configured armed", "configured running"]


def test_switched_off_it_sets_up_nothing():
    assert run(
        PROJECT
        + """
set_up(PYROSCOPE={"ENABLED": False})
django.setup()
from django.core.handlers.wsgi import WSGIHandler
WSGIHandler()
state()
print(len(settings.MIDDLEWARE), any("instrumentation.django" in name for name in sys.modules))
""",
    ) == ["nothing", "1 False"]


# Wrong settings.

BAD = 'PYROSCOPE={"SAMPLE_RAT": 5}'
MESSAGE = (
    "Django setting PYROSCOPE['SAMPLE_RAT'] is not a setting; "
    "did you mean Django setting PYROSCOPE['SAMPLE_RATE']?"
)


def test_wrong_settings_stop_a_process_that_is_no_command():
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


def test_wrong_settings_stop_commands_that_check_or_serve_and_no_others():
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


def test_the_command_answers_though_checks_fail():
    """It is asked for when something is wrong: the checks must not stop it."""
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


def test_the_middleware_without_the_app():
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


def test_without_the_instrumentation():
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


def test_without_the_instrumentation_where_it_is_not_needed():
    assert run(
        PROJECT
        + """
sys.modules["opentelemetry.instrumentation.django"] = None
set_up(PYROSCOPE={"APPLICATION_NAME": "shop", "INSTRUMENT": False})
django.setup()
state()
"""
    ) == ["configured armed"]
