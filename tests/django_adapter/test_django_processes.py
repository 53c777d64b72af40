"""The agent starts in serving processes only. Each test runs a process."""

from __future__ import annotations

import pytest

from tests.django_adapter.project_source import PROJECT, SERVE_ONE, with_start
from tests.support.child import run


def test_management_command_sets_up_nothing():
    """Not even with a root span, such as an instrumented database makes in `migrate`."""
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
def test_management_command_with_zero_code_set_up_has_no_agent(start):
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


def test_override_in_a_management_command_sets_up_nothing():
    """An override reconfigures only what was configured before."""
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


@pytest.mark.parametrize(
    ("start", "before"), [("lazy", "configured armed"), ("now", "configured running")]
)
def test_runserver_sets_up_its_serving_process(start, before):
    lines = run(
        PROJECT
        + SERVE_ONE
        + f"""
set_up({with_start(start)})
execute_from_command_line(["manage.py", "runserver", "--noreload", "--nothreading"])
"""
    )
    assert lines[-4:] == [before, "b'x'", "configured running", "True 1"]


def test_runserver_after_zero_code_set_up():
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


def test_reloader_of_runserver_sets_up_nothing():
    """It is only the parent of the serving process."""
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
def test_process_without_a_command_is_set_up_at_once(start, then):
    """Such as a worker of a server or of Celery."""
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


def test_master_of_a_pre_fork_server_starts_no_agent():
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
def test_requests_in_tests_and_shells_have_ids_and_no_agent(command):
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


def test_worker_command_can_configure_itself():
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


def test_switched_off_sets_up_nothing():
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
